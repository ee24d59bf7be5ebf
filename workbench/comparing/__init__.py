"""What is compared, found and read: runs, batches, profiles and runs kept by name become the sides that
:mod:`workbench.compare` looks at."""
