"""libchdb as a server: ``python -m lethe.local.clickhouse_server LIBRARY READ WRITE ARGUMENTS``.

Confined, where the kernel can, to the folders and files in READ and WRITE (divided by ``:``), and
to those of the system: any user may have ``file()`` read what the process may read.

The library runs one query on behalf of the built-in user ``default``: it opens the ports and then
sleeps. A greeting that is refused on the native port (a wrong password, an unknown database, bytes
that are none) makes the library abort the process, so run it under a supervisor.
"""

import ctypes
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Final

from lethe.local.confine import confine
from sinks import dumps

_SYSTEM: Final = ("/usr", "/lib", "/lib64", "/proc", "/sys", "/etc/localtime")
QUERY: Final = (
    "SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; "
    "SELECT sleepEachRow(3) FROM numbers(1000000000) "
    "SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0 FORMAT Null"
)


def main() -> None:
    """Serve until SIGTERM; end with exit code 1 when the library cannot serve."""
    dumps.forbid()
    library, read, write, *arguments = sys.argv[1:]
    system = (*_SYSTEM, sys.prefix, sys.base_prefix, str(Path(library).parent))
    confine(
        map(Path, (*system, *read.split(os.pathsep))),
        map(Path, ("/dev", *write.split(os.pathsep))),
    )
    command = ["clickhouse", *arguments, f"--query={QUERY}"]
    run = ctypes.CDLL(library).chdb_query_cmdline
    run.restype = ctypes.c_void_p
    words = (ctypes.c_char_p * len(command))(*[word.encode() for word in command])

    def serve() -> None:
        run(len(command), words)
        os._exit(1)  # the query ends only when it fails: a taken port, an unreadable file

    # Beside the main thread, as the library installs signal handlers of its own.
    threading.Thread(target=serve, daemon=True).start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    # Data that was acknowledged is on disk: there is nothing to close in an orderly way.
    sys.stdout.flush()
    signal.raise_signal(signal.SIGKILL)


if __name__ == "__main__":
    main()
