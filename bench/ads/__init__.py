"""Benchmarks of consent, routing and delivery to ad providers: ``python -m bench.ads``."""
