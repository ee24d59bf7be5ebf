"""Where the services of a profiler session run, and how they are reached there."""
