"""Folded stacks: a line per stack, ``frame;frame;frame COUNT``, root first."""

from workbench.profiles.readers.folded.reader import read, recognise

__all__ = ["read", "recognise"]
