"""Reads pprof profiles: profile.proto of google/pprof, gzipped or raw, of Go, pprof-rs, gperftools and others."""

from workbench.profiles.readers.pprof.reader import read, recognise

__all__ = ["read", "recognise"]
