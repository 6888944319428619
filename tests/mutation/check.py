"""Take a guard out of a copy of the tree, and see its tests turn red there."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.mutation.mutations import Mutation

ROOT = Path(__file__).parents[2]
PARTS = ("lethe", "streams", "sinks", "privacy", "schemas", "deploy", "tests", "pyproject.toml")
NOT_RUN = ("error", "skipped")
SECONDS = 300.0  # far more than any mutation's tests take


class MutationError(RuntimeError):
    """Raised when a mutation cannot be tried: its place is gone, or not all tests ran."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which of a mutation's tests failed, which should have and did not, and what that took."""

    caught_by: Sequence[str]
    survived: Sequence[str]
    seconds: float


def check(mutation: Mutation, folder: Path) -> Verdict:
    """Try a mutation in ``folder``, which is made and removed. Raise MutationError."""
    copy(folder)
    try:
        mutate(mutation, folder)
        began = time.monotonic()
        failed = failures(mutation.tests, folder)
        caught = [test for test in mutation.tests if any(map(_is_of(test), failed))]
        survived = [test for test in mutation.tests if test not in caught]
        return Verdict(caught, survived, time.monotonic() - began)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def copy(folder: Path) -> None:
    """Copy what tests import, compiled modules included, which saves compiling it again."""
    folder.mkdir(parents=True)
    for part in PARTS:
        source = ROOT / part
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, folder / part)


def mutate(mutation: Mutation, folder: Path) -> None:
    """Change the mutation's place in a copy. Raise MutationError unless it is there, once."""
    file = folder / mutation.file
    text = file.read_text()
    if text.count(mutation.before) != 1:
        times = text.count(mutation.before)
        raise MutationError(f"{mutation.file}: {mutation.before!r} is there {times} times, not 1")
    changed = text.replace(mutation.before, mutation.after)
    compile(changed, str(file), "exec")  # a test must fail for what is missing, not at the import
    file.write_text(changed)


def failures(tests: Iterable[str], folder: Path) -> set[str]:
    """Run tests in a copy; return the node ids of the cases that failed.

    Raise MutationError when one did not run: what is skipped, or breaks before or after a test as
    an engine that does not start, says nothing of a guard.
    """
    report = folder / "report.xml"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-p",
         "no:randomly", "-o", "junit_family=xunit1", f"--junitxml={report}",
         f"--basetemp={folder / 'basetemp'}", *tests],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},  # before the tree that is installed
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS,
        check=False,
    )  # fmt: skip
    cases = list(ET.parse(report).iter("testcase")) if report.exists() else []
    if not cases or any(each.find(kind) is not None for each in cases for kind in NOT_RUN):
        raise MutationError(f"not all ran:\n{done.stdout.decode(errors='replace')[-4000:]}")
    return {
        f"{each.get('file')}::{each.get('name')}"
        for each in cases
        if each.find("failure") is not None
    }


def _is_of(test: str) -> Callable[[str], bool]:
    return lambda case: case == test or case.startswith(f"{test}[")
