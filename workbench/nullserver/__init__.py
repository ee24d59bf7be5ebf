"""A server that does nothing: it answers any paid request at once, like an indexer-service without errors.

The rate that a generator reaches against it is the limit of generator and machine. ``protocol`` (where requests end),
``delayed`` (a fixed answer time), ``__main__`` (the process), ``child`` (starting it).
"""
