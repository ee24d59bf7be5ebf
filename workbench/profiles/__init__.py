"""Profiles: one model, a reader for each format, transforms, views and exports.

- ``columns``, ``metrics`` and ``notes``: names shared by all others. ``model``: the tables that every
  format is read into; ``tree`` and ``graph`` compute on them; ``names`` tidies names.
- ``read`` and ``readers/``: bytes to Profile. ``source`` opens and unpacks.
- ``transforms/``: Profile to Profile. ``views/``: Profile to DataFrame. ``exports/``: Profile to other tools' files.

Nothing here depends on load, targets or charts.
"""
