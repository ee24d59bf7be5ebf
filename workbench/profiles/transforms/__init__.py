"""Profile to Profile: pure functions that change nothing in place."""
