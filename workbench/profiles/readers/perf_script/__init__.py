"""``perf script``: what ``perf record`` sampled, as text: a header a sample and below it a line a frame."""

from workbench.profiles.readers.perf_script.reader import read, recognise

__all__ = ["read", "recognise"]
