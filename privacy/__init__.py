"""The pure core: what may be kept, and what may be shown. No I/O, clock or random."""
