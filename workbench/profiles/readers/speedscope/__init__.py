"""speedscope's JSON: shared frames and one or more profiles, sampled or evented."""

from workbench.profiles.readers.speedscope.reader import read, recognise

__all__ = ["read", "recognise"]
