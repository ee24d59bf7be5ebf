"""Windows of running services, without a restart between steps.

``cut`` begins and ends a window with the mode's tool, ``scene`` describes its place, ``runs`` are windows of tools that
profile from start to end, ``record`` is the stored record, ``read`` makes Profiles.
"""
