"""strace's log: every system call of every thread, with its time in the kernel."""

from workbench.profiles.readers.strace.reader import read, recognise

__all__ = ["read", "recognise"]
