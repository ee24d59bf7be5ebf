"""What a profile says, in words: one module a format, each with ``answer(profile)`` for its notebook."""
