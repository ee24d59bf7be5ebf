"""Flame graph SVG of inferno (cargo flamegraph, pprof-rs, py-spy) and FlameGraph (Perl)."""

from workbench.profiles.readers.flamegraph.reader import read, recognise

__all__ = ["read", "recognise"]
