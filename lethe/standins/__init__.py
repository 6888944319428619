"""Stand-ins for the ad providers: a local server that enforces their contracts and keeps what came.

For tests and for trying Lethe out; nothing here talks to a provider.
"""
