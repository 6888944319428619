"""The SDK is light: sites install and import it in their web servers."""

import subprocess
import sys

import pytest

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


@pytest.mark.parametrize("reader", ["CaseReader", "LetterReader"])
def test_readers_import_nothing_of_the_pipeline(reader: str) -> None:
    found = modules_after(f"from lethe import {reader}")
    assert {"kafka", "fastavro", "cryptography"} <= found
    assert not found & (HEAVY | {"streams", "privacy"})


@pytest.mark.parametrize("call", ["submit_form", "submit_request"])
def test_what_is_sent_to_the_collector_needs_the_standard_library_and_the_rules_alone(
    call: str,
) -> None:
    found = modules_after(f"from lethe import {call}")
    assert not found & (HEAVY | {"streams", "sinks", "kafka", "fastavro", "cryptography"})


def test_retention_worker_imports_nothing_of_the_pipeline() -> None:
    found = modules_after("from lethe import RetentionWorker")
    assert {"kafka", "fastavro"} <= found
    assert not found & (HEAVY | {"streams", "sinks"})


def test_rights_worker_imports_nothing_of_the_pipeline() -> None:
    found = modules_after("from lethe import RightsWorker")
    assert {"kafka", "fastavro", "cryptography"} <= found
    assert not found & (HEAVY | {"streams"})
