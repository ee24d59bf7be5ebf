"""Engines that send: each takes a StepSpec and gives the same rows and StepReport.

``in_process`` sends a share from the caller's loop (for tests and inside the processes). ``child`` is one separate
process with nothing else on its loop: measured load never shares a loop with a notebook kernel. ``processes`` are
several; ``dask`` has one at each worker of a Dask cluster, where ``remote`` runs it. ``conduct`` starts, stops and
joins them; ``chosen`` is the engine that the settings name.
"""
