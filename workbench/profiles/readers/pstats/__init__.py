"""pstats, from cProfile, the old ``profile`` and Python 3.15's sampler: functions and the calls between them."""

from workbench.profiles.readers.pstats.reader import read, recognise

__all__ = ["read", "recognise"]
