"""Who may do what in ClickHouse, written down once more, and every statement that could be tried.

What there is to try is asked of the engine: each table, column, view, system table, table function
and table engine. Something that a new release brings fails the test until it is named here.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

Rows = Callable[[str], list[list[str]]]
"""Runs a query that may see everything; returns rows of text."""

USERS = ("admin", "writer", "eraser", "analyst", "default")
DATABASE = "lethe"

REFUSED = {497, 164, 452, 495, 481, 392, 636}
"""ACCESS_DENIED, READONLY, SETTING_CONSTRAINT_VIOLATION, ACCESS_STORAGE_READONLY (users are in
a file), PATH_ACCESS_DENIED, QUERY_IS_PROHIBITED; and from ``merge`` that there is no such table,
for who may not see it.
"""


class Cell(NamedTuple):
    """A statement, who may, and how it ends for those who may (0 if it works).

    ``$db`` in it is the database.
    """

    name: str
    statement: str
    may: frozenset[str] = frozenset()
    ends: int = 0


_ALL = frozenset(USERS)
_ADMIN = frozenset({"admin"})

# Tables and views ---------------------------------------------------------------------------------

_READ = {"read", "count", "show", "describe", "exists", "index"}
_DELETE = {"delete", "delete lightly", "sweep"}
_VIEWS = {
    "totals_daily", "countries_daily", "cities_daily", "cities_hourly", "types_daily",
    "pages_daily", "clicks_daily", "searches_daily", "errors_daily", "custom_daily",
    "referrers_daily", "browsers_daily", "browser_versions_daily",
}  # fmt: skip
TABLES = {
    "facts", "rejects", "periods", "statistics", "migrations", "facts_held", "facts_taken",
    "published", "paths", *_VIEWS,
}  # fmt: skip
_MAY: Mapping[str, Mapping[str, set[str]]] = {
    "writer": {
        **{name: _READ | {"insert"} for name in ("facts", "rejects", "periods")},
        "statistics": {*_READ, "insert", *_DELETE},
        "paths": _READ,
        "facts_taken": _READ,
    },
    "eraser": {
        **{name: {*_READ, "insert", *_DELETE} for name in ("facts", "facts_held")},
        # That it is there, and what its columns are called, goes with what may be put into it.
        "facts_taken": {"insert", "exists", "show", "describe"},
        "periods": {"exists", "count", "index"},
    },
    "analyst": dict.fromkeys(_VIEWS, _READ),
}
_SOME_COLUMNS = {("eraser", "periods"): {"site", "day"}}


def of_tables(rows: Rows) -> Iterator[Cell]:
    """Return what could be done with each table and view; what destroys them comes last."""
    for name, engine in rows(
        f"SELECT name, engine FROM system.tables WHERE database = '{DATABASE}' ORDER BY name"
    ):
        columns = rows(
            "SELECT name, type FROM system.columns"
            f" WHERE database = '{DATABASE}' AND table = '{name}' ORDER BY position"
        )
        (first, kind), (last, _) = columns[0], columns[-1]
        for column, _ in columns:
            may = {
                user
                for user in USERS
                if user == "admin"
                or column in _SOME_COLUMNS.get((user, name), ())
                or "read" in _MAY.get(user, {}).get(name, ())
            }
            text = f"SELECT {column} FROM {name} LIMIT 0"
            yield Cell(f"read {name}.{column}", text, frozenset(may))
        stored = engine != "View"
        for act, statement in {
            "read": f"SELECT * FROM {name} LIMIT 0",
            "count": f"SELECT count() FROM {name} WHERE 0",
            "show": f"SHOW CREATE TABLE {name}",
            "describe": f"DESCRIBE TABLE {name}",
            "exists": f"EXISTS TABLE {name}",
            "comment": f"ALTER TABLE {name} MODIFY COMMENT 'mine'",
            **(_OF_STORED if stored else {}),
        }.items():
            filled = statement.format(name=name, first=first, last=last, type=kind)
            yield Cell(f"{act} {name}", filled, _who(act, name))
        for act, statement in {
            "grant": f"GRANT SELECT ON {name} TO analyst",
            "take": f"REVOKE SELECT ON {name} FROM writer",
            "row policy": f"CREATE ROW POLICY mine ON {name} USING 1 TO analyst",
            "back up": f"BACKUP TABLE {name} TO File('mine')",
            "export": f"INSERT INTO FUNCTION url('http://192.0.2.1/', 'CSV') SELECT * FROM {name}",
        }.items():
            yield Cell(f"{act} {name}", statement)
    for name in sorted(TABLES):
        yield Cell(f"drop {name}", f"DROP TABLE {name}", _ADMIN)
    yield Cell("drop database", "DROP DATABASE $db SYNC", _ADMIN)


_OF_STORED = {
    "index": "SELECT * FROM mergeTreeIndex(currentDatabase(), '{name}') LIMIT 0",
    "insert": "INSERT INTO {name} ({first}) SELECT defaultValueOfTypeName('{type}') WHERE 0",
    "delete": "ALTER TABLE {name} DELETE WHERE 0",
    "delete lightly": "DELETE FROM {name} WHERE 0",
    "sweep": "ALTER TABLE {name} DROP PARTITION ID 'none'",
    "add column": "ALTER TABLE {name} ADD COLUMN mine String",
    "update": "ALTER TABLE {name} UPDATE mine = '' WHERE 0",
    "comment column": "ALTER TABLE {name} COMMENT COLUMN {last} 'mine'",
    "drop column": "ALTER TABLE {name} DROP COLUMN mine",
    "set": "ALTER TABLE {name} MODIFY SETTING old_parts_lifetime = 1000000",
    "freeze": "ALTER TABLE {name} FREEZE",
    "optimize": "OPTIMIZE TABLE {name}",
    "check": "CHECK TABLE {name}",
    "stop merges": "SYSTEM STOP MERGES {name}",
    "start merges": "SYSTEM START MERGES {name}",
    "truncate": "TRUNCATE TABLE {name}",
}


def may_use(user: str) -> Mapping[str, set[str]]:
    """Return what a user may do with each table that it may use at all."""
    return _MAY.get(user, {})


def _who(act: str, name: str) -> frozenset[str]:
    return frozenset(
        user for user in USERS if user == "admin" or act in _MAY.get(user, {}).get(name, ())
    )


# System tables ------------------------------------------------------------------------------------

# What ClickHouse is made of; and tables of which each sees only the rows of what it may use.
_OPEN = {
    "aggregate_function_combinators", "collations", "completions", "contributors",
    "data_type_families", "database_engines", "dictionary_layouts", "disk_types", "formats",
    "functions", "licenses", "one", "privileges", "settings", "table_engines", "table_functions",
    "time_zones", "columns", "current_roles", "databases", "enabled_roles", "quota_usage", "tables",
}  # fmt: skip
_OPEN_TO = {
    "admin": {
        "parts", "detached_parts", "mutations", "merges", "replicas", "processes", "query_log",
    },
    "eraser": {"parts", "mutations"},
}  # fmt: skip


def may_read_of_system(user: str) -> set[str]:
    """Return the system tables that this user may read and not everybody."""
    return _OPEN_TO.get(user, set())


def of_system(rows: Rows) -> Iterator[Cell]:
    """Return a reading of each system table."""
    for database, name in rows(
        "SELECT database, name FROM system.tables"
        " WHERE lower(database) IN ('system', 'information_schema') ORDER BY ALL"
    ):
        may: frozenset[str] = frozenset()
        if database == "system":
            open_to = (user for user in USERS if name in _OPEN_TO.get(user, ()))
            may = frozenset(USERS if name in _OPEN else open_to)
        yield Cell(f"read {database}.{name}", f"SELECT * FROM {database}.{name} LIMIT 0", may)


# Table functions and engines ----------------------------------------------------------------------

_KIND = 727  # "on a TimeSeries table only": there is none
# What makes up what it returns, or returns what may be read anyway.
_WITHIN: Mapping[str, tuple[str, frozenset[str], int]] = {
    "numbers": ("1", _ALL, 0),
    "numbers_mt": ("1", _ALL, 0),
    "primes": ("1", _ALL, 0),
    "generateSeries": ("1, 2", _ALL, 0),
    "generate_series": ("1, 2", _ALL, 0),
    "generateRandom": ("'a Int8', 1, 1, 1", _ALL, 0),
    "values": ("'a Int8', 1", _ALL, 0),
    "SQLStandardValues": ("(1), (2)", _ALL, 0),
    "null": ("'a Int8'", _ALL, 0),
    "view": ("SELECT 1", _ALL, 0),
    "fuzzQuery": ("'SELECT 1', 100, 1", _ALL, 0),
    "fuzzJSON": ("'{}', 1", _ALL, 0),
    "input": ("'a Int8'", _ALL, 477),
    "eval": ("'SELECT 1'", _ALL, 344),  # experimental, and off
    "viewIfPermitted": ("SELECT 1 AS a ELSE null('a UInt8')", _ALL, 0),
    "zeros": ("1", _ADMIN, 0),
    "zeros_mt": ("1", _ADMIN, 0),
    "format": ("CSV, '1'", _ADMIN, 0),
    "viewExplain": ("'EXPLAIN', '', (SELECT 1)", _ADMIN, 0),
    "loop": ("mine", _ADMIN, 60),
    "dictionary": ("'mine'", _ADMIN, 36),
    "executable": ("'mine', 'CSV', 'a Int8'", _ADMIN, 1),  # no script is there, and none gets there
    "merge": ("'$db', '^migrations$'", _ADMIN, 0),
    "mergeTreeIndex": ("'$db', 'migrations'", _ADMIN, 0),
    "mergeTreeAnalyzeIndexes": ("'$db', 'migrations'", _ADMIN, 0),
    "mergeTreeAnalyzeIndexesUUID": ("'00000000-0000-0000-0000-000000000001'", _ALL, 60),
    "mergeTreeProjection": ("'$db', 'facts', 'mine'", _ALL, 582),
    "mergeTreeTextIndex": ("'$db', 'facts', 'mine'", _ALL, 36),
    "timeSeriesData": ("'$db', 'facts'", _ALL, _KIND),
    "timeSeriesMetrics": ("'$db', 'facts'", _ALL, _KIND),
    "timeSeriesSamples": ("'$db', 'facts'", _ALL, _KIND),
    "timeSeriesTags": ("'$db', 'facts'", _ALL, _KIND),
    "timeSeriesSelector": ("'$db', 'facts', 'x', now(), now()", _ALL, _KIND),
    "prometheusQuery": ("'$db', 'facts', 'x', now()", _ALL, _KIND),
    "prometheusQueryRange": ("'$db', 'facts', 'x', now(), now(), 1", _ALL, _KIND),
}
_SERVER = "'192.0.2.1:1', 'd', 't', 'u', 'p'"
_TABLE = "'CSV', 'a Int8'"
_AZURE = (
    "'DefaultEndpointsProtocol=http;AccountName=a;AccountKey=aa==;"
    "BlobEndpoint=http://192.0.2.1/a;', 'c', 'x', 'CSV', 'auto', 'a Int8'"
)
# What reaches a file, a network or another database: nobody may.
_OUTSIDE = {
    "file": f"'x.csv', {_TABLE}",
    "filesystem": "'/'",
    "url": f"'http://192.0.2.1/x', {_TABLE}",
    "hdfs": f"'hdfs://192.0.2.1:1/x', {_TABLE}",
    "remote": "'192.0.2.1:1', system.one",
    "remoteSecure": "'192.0.2.1:1', system.one",
    "cluster": "'elsewhere', system.one",
    "clusterAllReplicas": "'elsewhere', system.one",
    "mysql": _SERVER,
    "postgresql": _SERVER,
    "mongodb": f"{_SERVER}, 'a Int8'",
    "redis": "'192.0.2.1:1', 'k', 'k Int8'",
    "sqlite": "'x.db', 't'",
    "odbc": "'dsn', 'd', 't'",
    "jdbc": "'dsn', 'd', 't'",
    "ytsaurus": "'http://192.0.2.1:1', '//x', 't', 'a Int8'",
    "azureBlobStorage": _AZURE,
    **dict.fromkeys(
        ("s3", "gcs", "oss", "cosn"), f"'http://192.0.2.1:1/bucket/x', 'key', 'secret', {_TABLE}"
    ),
}
_LAKES = ("deltaLake", "hudi", "iceberg", "paimon")
CLUSTER = "elsewhere"
"""One that the engine is told of, where nobody answers."""


def _arguments(function: str) -> str:
    """Return what a function outside takes; KeyError for one that is not known."""
    there = function.removesuffix("Cluster")
    if there != function and there:
        return f"'{CLUSTER}', {_arguments(there)}"
    for lake in _LAKES:
        where = function.removeprefix(lake)
        if where != function:
            return {
                "": _OUTSIDE["s3"], "S3": _OUTSIDE["s3"], "Azure": _AZURE,
                "HDFS": _OUTSIDE["hdfs"], "Local": "'/x'",
            }[where]  # fmt: skip
    return _OUTSIDE[function]


def of_functions(rows: Rows) -> Iterator[Cell]:
    """Return a call of each table function."""
    for (name,) in rows("SELECT name FROM system.table_functions ORDER BY name"):
        arguments, may, ends = _WITHIN.get(name) or (_arguments(name), frozenset(), 0)
        yield Cell(f"call {name}", f"SELECT * FROM {name}({arguments}) LIMIT 1", may, ends)


def of_engines(rows: Rows) -> Iterator[Cell]:
    """Return the making of a table with each engine."""
    for (name,) in rows("SELECT name FROM system.table_engines ORDER BY name"):
        statement = f"CREATE TABLE made_{name} (a Int8) ENGINE = {name}"
        ours = name.removeprefix("Replicated") in {"MergeTree", "ReplacingMergeTree"}
        ends = 36 if name.startswith("Replicated") else 0  # it wants to know where replicas are
        yield Cell(f"engine {name}", statement, _ADMIN if ours else frozenset(), ends)


# Everything else ----------------------------------------------------------------------------------

_ELSE = """
CREATE DATABASE mine
DROP DATABASE system
RENAME DATABASE $db TO mine
CREATE USER mine
CREATE USER mine IDENTIFIED WITH no_password
ALTER USER analyst SETTINGS readonly = 0
ALTER USER admin IDENTIFIED WITH no_password
DROP USER admin
CREATE ROLE mine
CREATE QUOTA mine FOR INTERVAL 1 hour MAX queries = 1 TO analyst
ALTER QUOTA analyst TO NONE
CREATE SETTINGS PROFILE mine SETTINGS readonly = 0 TO analyst
GRANT ALL ON *.* TO analyst
REVOKE ALL ON *.* FROM admin
CREATE FUNCTION mine AS x -> x
CREATE NAMED COLLECTION mine AS a = 1
CREATE DICTIONARY mine (a UInt64) PRIMARY KEY a SOURCE(NULL()) LAYOUT(FLAT()) LIFETIME(0)
CREATE RESOURCE mine (READ DISK default)
CREATE WORKLOAD mine
SHOW USERS
SHOW ROLES
SHOW QUOTAS
SHOW SETTINGS PROFILES
SHOW ROW POLICIES
SHOW ACCESS
SHOW GRANTS FOR admin
SHOW CREATE USER admin
SHOW PROCESSLIST
SHOW CLUSTERS
EXECUTE AS admin SELECT 1
KILL QUERY WHERE 0
RESTORE TABLE facts FROM File('mine')
SYSTEM SHUTDOWN
SYSTEM KILL
SYSTEM RELOAD USERS
SYSTEM RELOAD CONFIG
SYSTEM RELOAD DICTIONARIES
SYSTEM RELOAD FUNCTIONS
SYSTEM FLUSH LOGS
SYSTEM CLEAR DNS CACHE
SYSTEM CLEAR MARK CACHE
SYSTEM CLEAR QUERY CACHE
SYSTEM STOP MERGES
SYSTEM STOP TTL MERGES
SYSTEM STOP FETCHES
SYSTEM STOP DISTRIBUTED SENDS
SYSTEM START MERGES
SYSTEM UNFREEZE WITH NAME 'mine'
SYSTEM SYNC FILE CACHE
SYSTEM ENABLE FAILPOINT dummy_failpoint
SYSTEM JEMALLOC FLUSH PROFILE
SELECT addressToSymbol(1)
SELECT dictGet('mine', 'a', 1)
SELECT joinGet('mine', 'a', 1)
SELECT catboostEvaluate('mine', 1)
SELECT * FROM default.`/etc/passwd`
CREATE TEMPORARY TABLE mine (a Int8)
CREATE VIEW mine AS SELECT 1
CREATE VIEW mine DEFINER = analyst SQL SECURITY DEFINER AS SELECT 1
CREATE VIEW mine SQL SECURITY NONE AS SELECT 1
CREATE MATERIALIZED VIEW mine_too ENGINE = MergeTree ORDER BY a AS SELECT 1 AS a
"""


# How those end that everybody, or admin, may try.
_ELSE_MAY: Mapping[str, tuple[frozenset[str], int]] = {
    **dict.fromkeys(
        (
            "SHOW GRANTS FOR admin", "SHOW PROCESSLIST", "KILL QUERY WHERE 0",
            "CREATE VIEW mine AS SELECT 1",
            "CREATE MATERIALIZED VIEW mine_too ENGINE = MergeTree ORDER BY a AS SELECT 1 AS a",
        ),
        (_ADMIN, 0),
    ),
    # Each stops what it may stop: nothing, but for admin.
    **dict.fromkeys(
        (
            "SYSTEM STOP MERGES", "SYSTEM STOP TTL MERGES", "SYSTEM STOP FETCHES",
            "SYSTEM STOP DISTRIBUTED SENDS", "SYSTEM START MERGES",
        ),
        (_ALL, 0),
    ),
    # What they want is not there, not configured or switched off.
    "EXECUTE AS admin SELECT 1": (_ALL, 344),
    "RESTORE TABLE facts FROM File('mine')": (_ALL - {"analyst"}, 318),
    "SYSTEM RELOAD CONFIG": (_ALL, 1),
    "SELECT dictGet('mine', 'a', 1)": (_ALL, 36),
    "SELECT joinGet('mine', 'a', 1)": (_ALL, 60),
    "SELECT catboostEvaluate('mine', 1)": (_ALL, 1000),
}  # fmt: skip


def of_everything_else() -> Iterator[Cell]:
    """Return statements about no table of ours, by themselves."""
    for statement in filter(None, _ELSE.splitlines()):
        may, ends = _ELSE_MAY.get(statement, (frozenset(), 0))
        yield Cell(statement, statement, may, ends)


# Settings -----------------------------------------------------------------------------------------

_FIXED = {
    "async_insert": "1", "deduplicate_insert": "'disable'", "log_queries": "1",
    "deduplicate_blocks_in_dependent_materialized_views": "0",
    "max_partitions_per_insert_block": "100", "optimize_on_insert": "1",
}  # fmt: skip


def of_settings(rows: Rows) -> Iterator[Cell]:
    """Return a change of each setting that writer and eraser have fixed, and that bind analysts."""
    names = ", ".join(f"'{name}'" for name in _FIXED)
    usual = dict(rows(f"SELECT name, value FROM system.settings WHERE name IN ({names})"))
    for name, value in _FIXED.items():
        # To set what is set anyway changes nothing, and may be asked for.
        may = {"admin", "default"} | ({"analyst"} if usual[name] == value.strip("'") else set())
        yield Cell(f"set {name}", f"SELECT 1 SETTINGS {name} = {value}", frozenset(may))
    for name, value in _BINDING.items():
        yield Cell(f"set {name}", f"SELECT 1 SETTINGS {name} = {value}", _ALL - {"analyst"})


def changes(rows: Rows) -> Iterator[str]:
    """Return a change of each other setting that is a number or a flag."""
    for name, other in rows(
        "SELECT name, toString(if(type = 'Bool', 1 - toUInt64(value), toUInt64(value) + 1))"
        " FROM system.settings WHERE type IN ('Bool', 'UInt64') AND NOT is_obsolete ORDER BY name"
    ):
        if name not in {*_FIXED, *_BINDING}:
            yield f"SELECT 1 SETTINGS {name} = {other}"


_BINDING = {
    "readonly": "0", "allow_ddl": "1", "max_memory_usage": "2000000000", "max_execution_time": "60",
    "max_result_rows": "2000000", "max_threads": "4", "max_concurrent_queries_for_user": "9",
}  # fmt: skip
