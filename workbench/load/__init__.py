"""When and how receipts are sent. Callable: ``await workbench.load(num_receipts=1000, rate=200)``.

``plan`` (index to intended time), ``pace`` (how far ahead to sign), ``ahead`` (which receipts are signed), ``presign``,
``signing`` (processes), ``request`` (its bytes), ``connection`` (one exchange), ``client`` (all connections),
``deadlines``, ``framing``, ``outcome`` (what an answer means) and ``outcome_cache``, ``drive`` (the timing-critical
loop) and ``waiting`` (for due times), ``samples`` (rows), ``spec`` and ``engines`` (who sends), ``summary``,
``validity``. Calling the room runs :func:`workbench.sweep.single.load`: a load is a sweep of one step.
"""

from workbench.callable_room import make_callable

make_callable(__name__, "workbench.sweep.single", "load")
