"""The HTTP entrance for tracking events and consent (S9, S11, S15): checks, publishes, says yes."""
