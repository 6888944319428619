"""Wiring: collector, lanes, agents, settings, metrics."""
