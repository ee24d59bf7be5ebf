"""The embedded stand-in of indexer-service and tap-agent: same routes, texts, metrics, tables and denial rule.

``server.Standin`` runs it in the current event loop, ``child.child`` in a process of its own, ``server.serve``
for good. What it imitates and where it differs from the real services is written in ``docs/standin.md``.
"""
