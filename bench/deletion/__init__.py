"""Benchmarks of deletion, from a case's end to its certificate: ``python -m bench.deletion``."""
