"""Run folders: made, locked, written as the run goes, read again. Knows nothing of how a run was made."""
