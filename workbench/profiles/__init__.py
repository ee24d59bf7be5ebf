"""Profiles: one model, a reader a format, transforms, views and exports.

- ``columns``, ``metrics`` and ``notes``: the words all others share. ``model``: the tables every format is read into;
  ``tree`` and ``graph`` compute on them; ``names`` tidies names.
- ``read`` and ``readers/``: bytes to Profile. ``source`` opens and unpacks.
- ``transforms/``: Profile to Profile. ``views/``: Profile to DataFrame. ``exports/``: Profile to other tools' files.

It knows nothing of load, targets or charts.
"""
