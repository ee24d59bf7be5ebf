"""Comparing runs: what costs more, due to which change, and whether that is more than noise. Callable:
``workbench.compare("data/runs/BEFORE", "data/runs/AFTER")``.

Pure: ``side`` (one run, as comparing needs it), ``likeness`` (may they be compared), ``joint`` and ``causes`` (call
graphs: which change explains which cost), ``families`` (what a graph counts besides cost), ``significance``,
``metrics`` and ``places`` (what a receipt costs), ``followed`` (findings that came or went), ``comparison`` (all of it)
and ``words``; ``gate``. What reads run folders is :mod:`workbench.sides.read`, which calling the room runs.
"""

from workbench.callable_room import make_callable

make_callable(__name__, "workbench.sides.read", "compare")
