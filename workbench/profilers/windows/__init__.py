"""How each mode cuts a window out of a running service, without a restart between steps.

A module a mode, each with ``begin`` and ``end``. What ``begin`` returns is plain JSON, so that a window that one
process began can be ended by another. ``cut`` chooses the module, ``record`` is what is kept of a window, ``read``
makes Profiles of it.
"""
