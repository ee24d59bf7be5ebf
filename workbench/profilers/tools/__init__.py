"""The profiler modes, one object each: what is started, how tool and service are told apart, how windows are cut.

``tool`` is what a mode is for everybody else, a module a mode what it does, ``chosen`` goes from name to object. What
a window's beginning returns is plain JSON, so that a window that one process began can be ended by another. Flags and
file names are those of the profiling guide's recipes (indexer-rs, contrib/start.sh), so that an engineer finds the same
files; flags of one's own replace them.
"""
