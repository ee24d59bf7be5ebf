"""The sides of a comparison, read from disk for :mod:`workbench.compare`: runs, batches, profiles and baselines."""
