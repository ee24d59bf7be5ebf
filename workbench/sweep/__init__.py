"""Steps toward the sender limit. Callable: ``await workbench.sweep(receipts="250,500,1000")``.

``steps`` (what is planned), ``run`` (the experiment), ``record`` (what it found, in its folder), ``settle`` (the agent
catches up), ``limit`` (first refusal and denial lag), ``pinpoint`` (the exact limit), ``watch`` (processes, metrics),
``series`` and ``table`` (rows), ``conclude`` (the verdict in words), ``single`` (one load). Calling the room runs
:func:`workbench.sweep.run.sweep`.
"""

from workbench.callable_room import make_callable

make_callable(__name__, "workbench.sweep.run", "sweep")
