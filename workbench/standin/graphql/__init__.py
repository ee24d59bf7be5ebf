"""GraphQL as the services read it: ``roots`` for what the stand-in itself answers, ``document`` for ``/cost``."""
