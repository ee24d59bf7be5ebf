"""``perf script``: samples of ``perf record`` as text: a header per sample and below it a line per frame."""

from workbench.profiles.readers.perf_script.reader import read, recognise

__all__ = ["read", "recognise"]
