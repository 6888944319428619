"""Tests that documents name, as ``unit/test_file.py::test_what_it_shows``."""

import ast
import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parent


def named(text: str) -> list[tuple[str, str]]:
    """Return file and name of each test that a document names."""
    return re.findall(r"`([\w/]+\.py)::(test_\w+)`", text)


@cache
def names_in(file: str) -> set[str]:
    """Return the names of a file's tests."""
    tree = ast.parse((TESTS / file).read_text())
    return {
        each.name for each in tree.body if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
