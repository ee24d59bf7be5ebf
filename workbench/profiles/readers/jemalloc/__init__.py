"""Heap profiles of jemalloc (``heap_v2``), as programs write them and as ``jeprof --raw`` names their addresses."""

from workbench.profiles.readers.jemalloc.reader import read, recognise

__all__ = ["read", "recognise"]
