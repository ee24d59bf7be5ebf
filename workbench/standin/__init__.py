"""The embedded stand-in of indexer-service and tap-agent: same routes, texts, metrics, tables and denial rule.

``server.Standin`` runs it in the current event loop, ``child.child`` in a child process, ``server.serve`` until a
signal. ``docs/standin.md`` says what it imitates and where it differs from the real services.
"""
