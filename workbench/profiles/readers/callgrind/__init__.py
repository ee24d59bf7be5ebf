"""Callgrind: functions, calls between them and cost per source line, counted by Valgrind or written by others."""

from workbench.profiles.readers.callgrind.reader import read, recognise

__all__ = ["read", "recognise"]
