"""What a server is told besides its users: who sees ``system.*``, and what it may write down.

An analyst's and an operator's statements are logged for a week. Those of ``writer`` and ``eraser``
are not (``log_queries``), and no statement gets into the server's text log.
"""

from typing import Final

# Without it every user reads ``system.*``, query log and all.
ACCESS_CONTROL: Final = """\
  <access_control_improvements>
    <select_from_system_db_requires_grant>true</select_from_system_db_requires_grant>
    <select_from_information_schema_requires_grant>true</select_from_information_schema_requires_grant>
    <table_engines_require_grant>true</table_engines_require_grant>
  </access_control_improvements>"""

LOG_LEVEL: Final = "warning"

# What quotes statements, also above that level. Who sent one is told what is wrong with it.
_QUOTING: Final = (
    "executeQuery",
    "TCPHandler",
    "DynamicQueryHandler",
    "MutatePlainMergeTreeTask",
    "MergeTreeBackgroundExecutor",
)
SILENT: Final = (
    "<levels>"
    + "".join(
        f"\n      <logger><name>{name}</name><level>none</level></logger>" for name in _QUOTING
    )
    + "\n    </levels>"
)

# Text in quotes, and numbers as long as a visitor's hash or a time in milliseconds.
MASKS: Final = {r"'(?:[^'\\]|\\.)*'": "'?'", r"\b[0-9]{13,}\b": "0"}

QUERY_LOG: Final = """\
  <query_log replace="1">
    <database>system</database>
    <table>query_log</table>
    <partition_by>event_date</partition_by>
    <ttl>event_date + INTERVAL 7 DAY DELETE</ttl>
    <flush_interval_milliseconds>7500</flush_interval_milliseconds>
  </query_log>"""

# Logs of a server's own that repeat statements, or keep addresses of those who log in.
_WITHOUT: Final = (
    "query_thread_log",
    "query_views_log",
    "asynchronous_insert_log",
    "processors_profile_log",
    "session_log",
    "text_log",
    "opentelemetry_span_log",
)


def config_xml() -> str:
    """Return the file for a server's ``config.d``."""
    masks = "".join(
        f"\n    <rule><regexp>{found}</regexp><replace>{shown}</replace></rule>"
        for found, shown in MASKS.items()
    )
    without = "".join(f'\n  <{name} remove="1"/>' for name in _WITHOUT)
    return f"""\
<!-- Generated from sinks/clickhouse/server.py: lethe migrate does not touch a server's files. -->
<clickhouse>
{ACCESS_CONTROL}
  <logger>
    <level>{LOG_LEVEL}</level>
    {SILENT}
  </logger>
  <query_masking_rules>{masks}
  </query_masking_rules>
{QUERY_LOG}{without}
</clickhouse>
"""
