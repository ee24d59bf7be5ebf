"""Findings in the profiles: a ranked list, one module for each kind.

``model``: a finding and the list of them. ``repeated`` (from counts, with ``calls``) and ``paths`` (from samples): work
repeated within a receipt. ``grown``: growth and leaks. ``idle``: the background. ``kernel``: waiting and system calls.
``machine``: caches, branches, the profilers' own share. ``code``: whose code a function is. ``look``: all of it.
"""

from workbench.analysis.findings.look import find
from workbench.analysis.findings.measured import Measured
from workbench.analysis.findings.model import COLUMNS, KINDS, Finding, Findings, Kind, Size

__all__ = ["COLUMNS", "KINDS", "Finding", "Findings", "Kind", "Measured", "Size", "find"]
