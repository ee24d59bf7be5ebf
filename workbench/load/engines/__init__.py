"""Who sends: the same StepSpec in, the same rows and StepReport out, whatever runs it.

``in_process`` drives from the caller's loop (for tests and for the child). ``child`` starts a process of its own with
nothing else on its loop: measured load never shares a loop with a notebook kernel.
"""
