"""Commands as documents show them, and as the command line knows them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from lethe.cli import app


@contextmanager
def known(words: Sequence[str]) -> Iterator[tuple[Any, list[str]]]:
    """Find the command that ``words`` begin with; gives it, and the words that are left."""
    name, *rest = words
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    with group.make_context("lethe", ["--help"], resilient_parsing=True) as context:
        found = group.get_command(context, name)
        assert found is not None
        if isinstance(found, TyperGroup) and rest and not rest[0].startswith("-"):
            found = found.get_command(context, rest.pop(0))
            assert found is not None
        yield found, rest
