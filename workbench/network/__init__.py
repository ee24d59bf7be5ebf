"""Everything that the real indexer-service and tap-agent need on one machine, without a chain, graph-node or
containers.

:func:`workbench.network.run.network` runs it within a block, :mod:`workbench.network.detached` in the background.
"""
