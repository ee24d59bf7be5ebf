"""DHAT: lifetimes and accesses of allocated, copied or counted blocks, from Valgrind or the crate dhat."""

from workbench.profiles.readers.dhat.reader import read, recognise

__all__ = ["read", "recognise"]
