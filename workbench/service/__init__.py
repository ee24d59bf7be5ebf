"""The service under test: its address and health, its payers, and how much they may still spend."""
