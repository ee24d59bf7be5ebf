"""HTTP/1 like the real service's server (hyper under axum): which requests it accepts and how it refuses others.

``head`` parses the head of a request, ``body`` its body, both without I/O; ``messages`` are handlers' requests and
answers; ``connection`` does the I/O. General server libraries have other limits for headers and chunks, and refuse
other requests.
"""
