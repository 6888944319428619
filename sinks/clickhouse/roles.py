"""Who may do what in ClickHouse: one declaration, printed as a users file.

Users live in a file because the embedded engine has no storage that ``CREATE USER`` could write
to; so nobody has ``access_management``, and no statement makes or changes a user. An analyst reads
the statistics views and nothing else: they run with the rights of ``admin`` (``SQL SECURITY
DEFINER``), so that reading them takes no grant on a table. Nobody may read a source outside
(``url``, ``file``, ``remote``, ``s3``), run a program, or make a function or dictionary.
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256

from sinks.clickhouse.client import PINNED

VIEWS = (
    "totals_daily",
    "countries_daily",
    "cities_daily",
    "cities_hourly",
    "types_daily",
    "pages_daily",
    "clicks_daily",
    "searches_daily",
    "errors_daily",
    "custom_daily",
    "referrers_daily",
    "browsers_daily",
    "browser_versions_daily",
)

_GRANTS: Mapping[str, tuple[str, ...]] = {
    # Makes and changes tables and views, and looks after them.
    "admin": (
        "GRANT CHECK, SHOW, SELECT, INSERT, ALTER, TRUNCATE, OPTIMIZE, SYSTEM MERGES ON {own}.*",
        *(
            f"GRANT {act} {what} ON {{own}}.*"
            for act in ("CREATE", "DROP")
            for what in ("DATABASE", "TABLE", "VIEW")
        ),
        *(
            f"GRANT TABLE ENGINE ON {replicated}{engine}"
            for replicated in ("", "Replicated")
            for engine in ("MergeTree", "ReplacingMergeTree")
        ),
        *(
            f"GRANT SELECT ON system.{table}"
            for table in (
                "tables",
                "columns",
                "parts",
                "detached_parts",
                "mutations",
                "merges",
                "replicas",
                "processes",
                "query_log",
            )
        ),
    ),
    "writer": (
        *(
            f"GRANT SELECT, INSERT ON {{database}}.{table}"
            for table in ("facts", "rejects", "periods", "statistics")
        ),
        # A new revision of a day's statistics takes the place of the one before.
        "GRANT ALTER DELETE ON {database}.statistics",
        "GRANT SELECT ON {database}.paths",
        "GRANT SELECT ON {database}.facts_taken",
    ),
    "eraser": (
        # Facts under a hold leave what is counted, and come back.
        *(
            f"GRANT SELECT, INSERT, ALTER DELETE ON {{database}}.{table}"
            for table in ("facts", "facts_held")
        ),
        "GRANT INSERT ON {database}.facts_taken",
        "GRANT SELECT (site, day) ON {database}.periods",
        # Proof that an erasure is physical: no old part left, and no statement that names whom.
        "GRANT SELECT ON system.parts",
        "GRANT SELECT ON system.mutations",
    ),
    "analyst": tuple(f"GRANT SELECT ON {{database}}.{view}" for view in VIEWS),
}
USERS = tuple(_GRANTS)

_LOOPBACK = ("127.0.0.1", "::1")
_PRIVATE = (*_LOOPBACK, "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")

# Defaults change between releases and decide what is lost or doubled. Statements of these two name
# visitors' daily hashes, which are to be in no log.
_FIXED: Mapping[str, int | str] = {**PINNED, "log_queries": 0}
_PROFILE_OF = {"writer": "pipeline", "eraser": "pipeline", "analyst": "analyst"}

_ANALYST = """\
    <analyst>
      <readonly>1</readonly>
      <allow_ddl>0</allow_ddl>
      <max_memory_usage>1000000000</max_memory_usage>
      <max_execution_time>30</max_execution_time>
      <max_result_rows>1000000</max_result_rows>
      <max_threads>2</max_threads>
      <max_concurrent_queries_for_user>8</max_concurrent_queries_for_user>
    </analyst>"""
_QUOTAS = """\
  <quotas>
    <default/>
    <analyst>
      <interval>
        <duration>3600</duration>
        <queries>20000</queries>
        <result_rows>20000000</result_rows>
        <execution_time>1800</execution_time>
      </interval>
    </analyst>
  </quotas>"""


def users_xml(passwords: Mapping[str, str] | None, database: str, *, embedded: bool) -> str:
    """Return the users file: one user for each of ``USERS``, with the hash of its password.

    ``passwords`` None: the server takes the hashes (SHA-256, hexadecimal) from its environment,
    ``LETHE_ADMIN_SHA256`` and so on. The embedded engine opens its ports as ``default``, so that
    user stays there and may do nothing else; the file stands alone. For clickhouse-server the
    file goes into ``users.d``, where it removes ``default``. Raise KeyError for a user without
    a password.
    """
    default = '    <default remove="1"/>'
    if embedded:
        listen = _rights(["GRANT SYSTEM LISTEN ON *.*"])
        default = _user("default", "<password/>", _LOOPBACK, "default", listen)
    users = [default]
    # Tests of the embedded engine have databases of their own beside it.
    own = f"{database}*" if embedded else database
    for name, grants in _GRANTS.items():
        users.append(
            _user(
                name,
                _password(name, passwords),
                _LOOPBACK if embedded else _PRIVATE,
                _PROFILE_OF.get(name, "default"),
                _rights(grant.format(database=database, own=own) for grant in grants),
            )
        )
    body = "\n".join(users)
    return (
        f"<clickhouse>\n  <profiles>\n    <default/>\n{_pipeline()}\n{_ANALYST}\n  </profiles>\n"
        f"{_QUOTAS}\n  <users>\n{body}\n  </users>\n</clickhouse>\n"
    )


def _pipeline() -> str:
    """Return the profile of writer and eraser: what it sets, no statement changes."""
    set_ = "".join(f"\n      <{name}>{value}</{name}>" for name, value in _FIXED.items())
    fixed = "".join(f"\n        <{name}><const/></{name}>" for name in _FIXED)
    return (
        f"    <pipeline>{set_}\n      <constraints>{fixed}\n      </constraints>\n    </pipeline>"
    )


def _user(name: str, password: str, networks: Iterable[str], profile: str, rights: str) -> str:
    allowed = "".join(f"<ip>{network}</ip>" for network in networks)
    quota = "analyst" if profile == "analyst" else "default"
    return f"""\
    <{name}>
      {password}
      <networks>{allowed}</networks>
      <profile>{profile}</profile>
      <quota>{quota}</quota>
      {rights}
    </{name}>"""


def _password(name: str, passwords: Mapping[str, str] | None) -> str:
    if passwords is None:
        return f'<password_sha256_hex from_env="LETHE_{name.upper()}_SHA256"/>'
    digest = sha256(passwords[name].encode()).hexdigest()
    return f"<password_sha256_hex>{digest}</password_sha256_hex>"


def _rights(grants: Iterable[str]) -> str:
    queries = "".join(f"\n        <query>{grant}</query>" for grant in grants)
    return f"<grants>{queries}\n      </grants>"
