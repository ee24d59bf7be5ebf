"""The profiler modes, one object each: the command, how to tell the tool from the service, how to cut windows.

``tool`` is the interface, each other module a mode; ``chosen`` finds the object of a name. Beginning a window returns
plain JSON, so that another process can end it. Flags and file names are those of the profiling guide's recipes
(indexer-rs, contrib/start.sh), so that an engineer finds the same files; the user's flags replace them.
"""
