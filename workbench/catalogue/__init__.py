"""All runs as a table: read from their folders each time, selected with SQL, tagged, removed.

``columns`` (with meanings and units), ``row`` (of one folder), ``cache`` (rows of finished runs; may be deleted at any
time), ``listing`` (all rows; ``workbench.runs()``), ``query`` (SQL conditions), ``marks`` (tags and notes), ``named``
(which run a text means), ``remove``, ``history`` (a figure over runs).
"""
