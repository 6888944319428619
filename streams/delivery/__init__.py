"""Deliver ad events: consent checked at the moment of sending, each event at most once (S14)."""
