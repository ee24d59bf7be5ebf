"""Profile to DataFrame: the tables people ask for."""
