"""Web servers' logs as a source of tracking events (S8)."""
