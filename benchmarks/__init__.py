"""Measured comparisons with named peers: same bytes, one run, MB of text per CPU-second."""
