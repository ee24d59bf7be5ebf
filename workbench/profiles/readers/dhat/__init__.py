"""DHAT: what became of each block that a program allocated, copied or counted, by Valgrind or the crate dhat."""

from workbench.profiles.readers.dhat.reader import read, recognise

__all__ = ["read", "recognise"]
