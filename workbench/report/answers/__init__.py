"""Answers in sentences from a profile: one module per format, each with ``answer(profile)`` for its notebook."""
