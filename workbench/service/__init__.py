"""The service under test: where it is, whether it answers, whose receipts it takes, how much they may still spend."""
