"""Profile to Profile: pure functions, nothing changed in place."""
