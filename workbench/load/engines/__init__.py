"""Who sends: the same StepSpec in, the same rows and StepReport out, whatever runs it.

``in_process`` drives a share from the caller's loop (for tests and for the processes). ``child`` is a process of its
own with nothing else on its loop: measured load never shares a loop with a notebook kernel. ``processes`` are several,
``dask`` has one at each worker of a Dask cluster, where ``remote`` holds it. ``conduct`` begins, stops and joins them;
``chosen`` is the engine that the settings name.
"""
