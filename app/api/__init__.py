"""The HTTP API of `/v1`, and the probes."""
