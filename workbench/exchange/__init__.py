"""Input and output formats of other load tools.

Requests that are signed ahead, for generators that cannot sign: ``vegeta`` and ``k6`` format them (pure),
``sending`` says when they are valid, ``requests`` finds the service and signs. What a run measured, for other tools:
``hdr`` (HdrHistogram's log and percentiles), ``rows`` (CSV), ``k6_summary``; ``export`` reads the run. ``load_json`` is
what ``workbench load --json`` prints.
"""
