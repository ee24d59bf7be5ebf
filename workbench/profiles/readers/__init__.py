"""One module or package per format: ``recognise(source)`` and ``read(source)``, see
:class:`workbench.profiles.read.Reader`. In a package ``reader`` has both, the other modules are its parts.
"""
