"""The pure core: what may be kept, in which form, and what may be shown. No I/O, clock or random."""
