"""nbformat, imported without its slow parts. This package imports nbformat only from here."""

from __future__ import annotations

from workbench.leaving_out import OF_JSONSCHEMA, left_out

with left_out(*OF_JSONSCHEMA):
    import nbformat

__all__ = ["nbformat"]
