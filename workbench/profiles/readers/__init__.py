"""One module a format: ``recognise(source)`` and ``read(source)``, see :class:`workbench.profiles.read.Reader`."""
