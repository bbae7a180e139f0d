"""What `benchmarks/dedup.py` is made of."""
