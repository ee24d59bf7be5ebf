"""nbformat, imported without what takes most of its time. Who needs nbformat in this package takes it from here."""

from __future__ import annotations

from workbench.leaving_out import OF_JSONSCHEMA, left_out

with left_out(*OF_JSONSCHEMA):
    import nbformat

__all__ = ["nbformat"]
