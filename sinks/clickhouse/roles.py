"""Who may do what in ClickHouse: one declaration, printed as a users file.

Users live in a file because the embedded engine has no storage that ``CREATE USER`` could write
to. An analyst reads the statistics views and nothing else: they run with the rights of ``admin``
(``SQL SECURITY DEFINER``), so that reading them takes no grant on a table.
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256

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

# ``admin`` has everything.
_GRANTS: Mapping[str, tuple[str, ...]] = {
    "writer": (
        *(
            f"GRANT SELECT, INSERT ON {{database}}.{table}"
            for table in ("facts", "rejects", "periods", "statistics")
        ),
        # A new revision of a day's statistics takes the place of the one before.
        "GRANT ALTER DELETE ON {database}.statistics",
        "GRANT SELECT ON {database}.paths",
        "GRANT SELECT ON {database}.migrations",
        "GRANT SELECT ON {database}.facts_taken",
    ),
    "eraser": (
        *(
            f"GRANT SELECT, ALTER DELETE ON {{database}}.{table}"
            for table in ("facts", "rejects", "periods", "statistics")
        ),
        # Facts under a hold leave what is counted, and come back.
        "GRANT INSERT ON {database}.facts",
        "GRANT SELECT, INSERT, ALTER DELETE ON {database}.facts_held",
        "GRANT SELECT, INSERT ON {database}.facts_taken",
        # Proof that an erasure is physical: no mutation open, no old part left.
        "GRANT SELECT ON system.mutations",
        "GRANT SELECT ON system.parts",
        "GRANT SELECT ON system.detached_parts",
    ),
    "analyst": tuple(f"GRANT SELECT ON {{database}}.{view}" for view in VIEWS),
}
USERS = ("admin", *_GRANTS)

# For the server's own configuration: without it every user reads ``system.*``, query log and all.
ACCESS_CONTROL = """\
  <access_control_improvements>
    <select_from_system_db_requires_grant>true</select_from_system_db_requires_grant>
    <select_from_information_schema_requires_grant>true</select_from_information_schema_requires_grant>
    <table_engines_require_grant>true</table_engines_require_grant>
  </access_control_improvements>"""

_LOOPBACK = ("127.0.0.1", "::1")
_PRIVATE = (*_LOOPBACK, "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")

_PROFILES = """\
  <profiles>
    <default/>
    <lethe>
      <async_insert>0</async_insert>
    </lethe>
    <analyst>
      <readonly>1</readonly>
      <allow_ddl>0</allow_ddl>
      <max_memory_usage>1000000000</max_memory_usage>
      <max_execution_time>30</max_execution_time>
      <max_result_rows>1000000</max_result_rows>
      <max_threads>2</max_threads>
      <max_concurrent_queries_for_user>8</max_concurrent_queries_for_user>
    </analyst>
  </profiles>
  <quotas>
    <default/>
    <analyst>
      <interval>
        <duration>3600</duration>
        <queries>20000</queries>
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
    for name in USERS:
        rights = "<access_management>1</access_management>"
        if name in _GRANTS:
            rights = _rights(grant.format(database=database) for grant in _GRANTS[name])
        users.append(
            _user(
                name,
                _password(name, passwords),
                _LOOPBACK if embedded else _PRIVATE,
                "analyst" if name == "analyst" else "lethe",
                rights,
            )
        )
    body = "\n".join(users)
    return f"<clickhouse>\n{_PROFILES}\n  <users>\n{body}\n  </users>\n</clickhouse>\n"


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
