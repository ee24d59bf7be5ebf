"""Profilers under control: a service started under a tool, a window for each step, and what ran before brought back.

``modes`` says what each tool is called with and what it writes, ``backends/`` where services run (local process, docker
compose), ``windows/`` how each mode cuts a window without a restart, ``session`` joins them, ``state`` lets one
terminal stop what another started. ``sampler/`` is the in-process sampling profiler for Python services.
"""
