"""Comparing runs: what costs more, due to which change, and whether that is more than noise. Callable:
``workbench.compare("data/runs/BEFORE", "data/runs/AFTER")``.

Pure: ``side`` (the data of one run), ``likeness`` (may they be compared), ``joint`` and ``causes`` (call graphs: which
change explains which cost), ``families`` (what a graph counts besides cost), ``significance``, ``metrics`` (what a
receipt costs), ``followed`` (findings that came or went), ``comparison`` (all of it) and ``words``; ``gate``. Run
folders are read by :mod:`workbench.sides.read`, which calling the room runs.
"""

from workbench.callable_room import make_callable

make_callable(__name__, "workbench.sides.read", "compare")
