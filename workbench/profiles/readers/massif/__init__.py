"""massif.out files of Valgrind, and xtree files in massif's format."""

from workbench.profiles.readers.massif.reader import read, recognise

__all__ = ["read", "recognise"]
