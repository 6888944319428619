"""The front door: command line, SDK, engines without Docker.

The SDK is ``from lethe import Publisher``; it needs the base install alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lethe.publisher import InvalidEventError, Publisher, PublishFailedError, Receipt

__all__ = ["InvalidEventError", "PublishFailedError", "Publisher", "Receipt"]


def __getattr__(name: str) -> Any:
    """Import the SDK when it is asked for: the command line, which lives here too, is quicker."""
    if name in __all__:
        return getattr(import_module("lethe.publisher"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
