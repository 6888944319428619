"""The SDK is light: sites install and import it in their web servers."""

import subprocess
import sys

HEAVY = {
    "aiohttp", "clickhouse_driver", "confluent_kafka", "faust", "numpy", "pyarrow", "pydantic",
    "rich", "scipy", "sqlalchemy", "structlog", "typer",
}  # fmt: skip


def modules_after(code: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter has after ``code``."""
    printed = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return {name.partition(".")[0] for name in printed.split()}


def test_publisher_imports_nothing_of_the_pipeline() -> None:
    found = modules_after("from lethe import Publisher")
    assert {"kafka", "fastavro"} <= found
    assert not found & (HEAVY | {"streams", "sinks"})


def test_lethe_alone_imports_not_even_kafka() -> None:
    """The command line lives in the same package and must start quickly."""
    assert not modules_after("import lethe") & (HEAVY | {"kafka", "fastavro", "cryptography"})


def test_case_reader_imports_nothing_of_the_pipeline() -> None:
    found = modules_after("from lethe import CaseReader")
    assert {"kafka", "fastavro", "cryptography"} <= found
    assert not found & (HEAVY | {"streams", "privacy"})


def test_submit_form_imports_the_standard_library_and_the_rules_alone() -> None:
    found = modules_after("from lethe import submit_form")
    assert not found & (HEAVY | {"streams", "sinks", "kafka", "fastavro", "cryptography"})


def test_retention_worker_imports_nothing_of_the_pipeline() -> None:
    found = modules_after("from lethe import RetentionWorker")
    assert {"kafka", "fastavro"} <= found
    assert not found & (HEAVY | {"streams", "sinks"})
