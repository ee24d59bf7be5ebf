"""The Firefox profiler's JSON, which samply writes too: processed profiles, and raw ones of Firefox itself."""

from workbench.profiles.readers.firefox.reader import read, recognise

__all__ = ["read", "recognise"]
