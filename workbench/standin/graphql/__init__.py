"""GraphQL as the services read it: ``roots`` for the stand-in's own answers, ``document`` for ``/cost``."""
