"""What the windows of a profiled sweep say: cost per receipt, its growth, leaks, and what a profiler costs.

Pure functions over tables and profiles. One **window** is what a profiler saw during one step of a sweep.
"""
