"""Windows whose files are dumps in callgrind's format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.profilers.windows.record import Window

if TYPE_CHECKING:
    from workbench.profiles.model import Profile


def merged_dumps(window: Window) -> Profile:
    """All dumps of a window (with --separate-threads one per thread) as one Profile. Raises ReadError."""
    from workbench.profiles.read import read_callgrind
    from workbench.profiles.transforms.combine import merge

    dumps = [window.path(what) for what in sorted(window.files) if what.startswith("dump")]
    return merge([read_callgrind(path) for path in dumps])
