"""The embedded ClickHouse: its users, its configuration, and what it does not do by itself."""

import os
import secrets
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from lethe.local.process import Process
from sinks.clickhouse.client import ClickHouseDownError, ClickHouseError, Client
from sinks.clickhouse.roles import USERS, users_xml
from sinks.clickhouse.server import ACCESS_CONTROL, LOG_LEVEL, SILENT

SWEEP_SECONDS: Final = 1.0

_CONFIG: Final = """\
<clickhouse>
  <users_config>{users}</users_config>
  <logger>
    <log>{log}</log><size>10M</size><count>1</count>
    {silent}
  </logger>
  <mark_cache_size>67108864</mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <max_server_memory_usage>4000000000</max_server_memory_usage>
  {access_control}
</clickhouse>
"""


def passwords(folder: Path) -> Mapping[str, str]:
    """Return each user's password, from its file; made at the first start."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = {}
    for user in USERS:
        file = folder / f"clickhouse-{user}"
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(secrets.token_urlsafe(24))
        found[user] = file.read_text().strip()
    return found


def server(
    library: Path,
    folder: Path,
    log: Path,
    *,
    secrets_dir: Path,
    ports: tuple[int, int],
    database: str,
) -> Process:
    """Return ClickHouse with its data in ``folder``, not yet started; ``ports``: native, HTTP."""
    for each in (folder, log.parent):
        each.mkdir(parents=True, exist_ok=True)
    users, config = folder.parent / "clickhouse-users.xml", folder.parent / "clickhouse.xml"
    users.touch(mode=0o600)
    users.write_text(users_xml(dict(passwords(secrets_dir)), database, embedded=True))
    config.write_text(
        _CONFIG.format(
            users=users.resolve(), log=log.with_name("clickhouse-server.log").resolve(),
            silent=SILENT, access_control=ACCESS_CONTROL,
        )
    )  # fmt: skip
    return Process(
        "clickhouse",
        [
            sys.executable,
            "-m",
            "lethe.local.clickhouse_server",
            str(library),
            os.pathsep.join(map(str, (users.resolve(), config.resolve()))),
            os.pathsep.join(map(str, (folder.resolve(), log.parent.resolve()))),
            f"--path={folder.resolve()}",
            f"--tcp_port={ports[0]}",
            f"--http_port={ports[1]}",
            "--listen_host=127.0.0.1",
            f"--config-file={config.resolve()}",
            f"--log-level={LOG_LEVEL}",  # that of the file is not heard
        ],
        log,
        ports,
        # Nothing that somebody may have put into ours: /proc/self/environ is a file.
        {name: os.environ[name] for name in ("PATH", "TZ", "PYTHONPATH") if name in os.environ},
    )


class Sweeper:
    """Removes parts that mutations, merges and TTL have replaced.

    clickhouse-server does so by itself; the embedded one has no cleanup thread. Dropping a
    partition that does not exist makes it look, and stops the merges and mutations that run in that
    table: it waits for them. A deduplication token is forgotten only with a part that has no row
    left.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop sweeping."""
        self._stop.set()
        self._thread.join()
        self._client.close()

    def sweep(self) -> None:
        """Look once, in every table of every database that has old parts and is at rest."""
        for database, table in self._client.query(
            "SELECT DISTINCT database, table FROM system.parts WHERE NOT active"
            " AND (database, table) NOT IN (SELECT database, table FROM system.merges)"
        ):
            self._client.execute(f"ALTER TABLE {database}.{table} DROP PARTITION ID 'none'")

    def _run(self) -> None:
        while not self._stop.wait(SWEEP_SECONDS):
            try:
                self.sweep()
            except (ClickHouseDownError, ClickHouseError):
                continue  # it is being restarted, or a table has just been dropped
