"""What a profile counts."""

from __future__ import annotations

from workbench.hints import NamedTuple


class Metric(NamedTuple):
    """What a profile counts.

    ``name`` is the tool's own name (``Ir``, ``cpu``, ``inuse_space``), ``unit`` is ``count``, ``bytes``, ``ns``,
    ``us``, ``ms``, ``s`` or the tool's own unit. ``additive`` is False for ratios, which must not be summed.
    """

    name: str
    unit: str = "count"
    description: str = ""
    additive: bool = True
