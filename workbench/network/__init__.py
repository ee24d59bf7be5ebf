"""All that the real indexer-service and tap-agent need on one machine without chain, graph-node or containers.

:func:`workbench.network.run.network` runs it while a block is open, :mod:`workbench.network.detached` on its own.
"""
