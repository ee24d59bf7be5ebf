"""Profile to the files of other tools."""
