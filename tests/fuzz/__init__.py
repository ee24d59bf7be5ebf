"""Damaged profiles by the hundred thousand: ``python -m tests.fuzz callgrind --inputs 100000``."""
