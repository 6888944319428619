"""Engines without Docker: a broker and ClickHouse on a machine with Python and Node (and Java).

For trying out, for tests and for a single machine. Addresses in the settings replace them.
"""


class EngineError(RuntimeError):
    """Raised when an engine cannot be had or does not start; says what to do."""
