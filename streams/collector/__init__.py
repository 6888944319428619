"""The HTTP entrance for tracking events (S9, S11): checks, shortens, publishes, then says yes."""
