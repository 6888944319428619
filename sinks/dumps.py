"""No core dumps: the memory of a process that dies holds keys, and forms as they were filled in."""

import ctypes
import resource
import sys
from typing import Final

_PR_SET_DUMPABLE: Final = 4


def forbid() -> None:
    """Let this process leave none, nor be looked into by others of its user (Linux).

    The limit alone does not reach a handler that the kernel pipes dumps to.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
