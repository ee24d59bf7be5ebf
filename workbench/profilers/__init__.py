"""Controls profilers: starts a service under a tool, cuts a window for each step, and restores what ran before.

``tools/`` has the command and outputs of each tool, ``backends/`` run services (local process, docker compose),
``windows/`` cut a window in each mode without a restart, ``session`` joins them, ``state`` lets one terminal stop what
another started. ``sampler/`` is the in-process sampling profiler for Python services.
"""
