"""Windows of running services, without a restart between steps.

``cut`` begins and ends one by the mode's tool, ``scene`` is where, ``runs`` are those of a tool that profiles from
start to end, ``record`` is what is kept of a window, ``read`` makes Profiles of it.
"""
