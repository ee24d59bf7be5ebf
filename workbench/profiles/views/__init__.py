"""Profile to DataFrame."""
