"""Steps toward the sender limit. Callable: ``await workbench.sweep(receipts="250,500,1000")``.

``steps`` (the plan), ``run`` (the experiment), ``record`` (results, written to the run folder), ``settle`` (waits until
the agent has counted), ``reachable`` (is the target still there?), ``limit`` (first refusal and denial lag),
``pinpoint`` (the exact limit), ``watch`` (processes, metrics), ``series`` and ``table`` (rows), ``conclude`` (the
verdict in words), ``single`` (one load). Calling the room runs :func:`workbench.sweep.run.sweep`.
"""

from workbench.callable_room import make_callable

make_callable(__name__, "workbench.sweep.run", "sweep")
