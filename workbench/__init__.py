"""Indexer Workbench: load-test and profile The Graph's indexer-service and tap-agent as one experiment."""
