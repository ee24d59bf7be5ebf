"""The runs that there are, as a table: found in their folders each time, asked with SQL, tagged, removed.

``columns`` (what is known of a run, with units), ``row`` (of one folder), ``cache`` (rows that need not be made again,
thrown away at will), ``listing`` (all rows; ``workbench.runs()``), ``query`` (SQL conditions), ``marks`` (tags and
notes), ``named`` (which run is meant), ``remove``, ``history`` (a figure over runs).
"""
