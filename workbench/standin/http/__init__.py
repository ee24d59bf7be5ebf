"""HTTP/1 as the real service's server speaks it (hyper under axum): which requests it takes, how it refuses the others.

``head`` judges the head of a request, ``body`` its body, both without I/O; ``messages`` are what handlers get and give;
``connection`` does the talking. Header and chunk limits, leniency and refusals of general server libraries differ.
"""
