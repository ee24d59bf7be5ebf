"""A server that does nothing: any paid request is answered at once as by an indexer-service where all went well.

What a generator can do against it is what the generator and the machine can do. ``protocol`` (where requests end),
``delayed`` (a fixed answer time), ``__main__`` (the process), ``child`` (starting it).
"""
