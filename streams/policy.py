"""Read the policy file, or say what is wrong with it and where; keep each version of it."""

import hashlib
import json
import re
import tomllib
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from privacy.ads import IDS
from privacy.policy import BrokenRulesError, Policy
from sinks.ledger import policies
from sinks.ledger.ledger import Ledger
from sinks.ledger.policies import Recorded

Keys = tuple[str | int, ...]
"""What leads to a value, outermost first; a number is a place in a list."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_AT = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)")
_A_KEY = "[key]"  # what pydantic puts last where a key itself is wrong

# By pydantic's names for what can be wrong with TOML's types.
_RULES = {
    "missing": "is missing; write it",
    "string_type": "is not text; put it in quotes",
    "bool_type": "is not true or false; write one, without quotes",
    "tuple_type": "is not a list; put it in [ ]",
    "int_type": "is not a whole number; write one, without quotes",
    "greater_than_equal": "is too small; write {ge} at least",
    "less_than_equal": "is too large; write {le} at most",
    "too_short": "is empty; list one at least",
    "model_type": "is not a table; give it a [section] of its own",
    "dict_type": "is not a table; give it a [section] of its own",
    "enum": "is none of those known; write {expected}",
}


class PolicyError(ValueError):
    """A policy that cannot be used. ``problems`` are ``file:line: key: rule; remedy``."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load(path: Path) -> Policy:
    """Read the policy at ``path``. Raise PolicyError with every problem, by line and key.

    Values are never told, but for a name that leads nowhere. What contradicts other sections is
    found once a section itself is in order.
    """
    return parse(read(path), str(path))


def read(path: Path) -> str:
    """Return what the policy file at ``path`` says. Raise PolicyError when it cannot be read."""
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise PolicyError([f"{path}: cannot be read ({error.strerror}); name a file"]) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise PolicyError([f"{path}:{line}: is not UTF-8; save the file as UTF-8"]) from None


def parse(text: str, file: str) -> Policy:
    """Return the policy that ``text`` (TOML) holds; as ``load``, with ``file`` in the problems."""
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # of long numbers and deep nesting another
        what = str(error)
        at = _AT.search(what)
        line = int(at[1]) if at and at[1] else text.rstrip().count("\n") + 1
        raise PolicyError([f"{file}:{line}: is not TOML: {_AT.sub('', what)}; mend it"]) from None
    try:
        return Policy.model_validate(content)
    except ValidationError as error:
        lines = _Lines(text, content)
        found = {
            (lines.of(keys), _dotted(keys), rule)
            for details in error.errors(include_input=False, include_url=False)
            for keys, rule in _problems(details)
        }
    problems = [f"{file}:{line}: {key}: {rule}" for line, key, rule in sorted(found)]
    raise PolicyError(problems)


def record(ledger: Ledger, text: str, file: str, at: int) -> None:
    """Keep the policy that ``text`` holds in the ledger, once a version.

    Raise PolicyError when its version is that of another, which may differ in comments and layout
    alone: nobody could say later which of the two was in force. ``at`` is now, in milliseconds
    since 1970. Raise LedgerError.
    """
    content = tomllib.loads(text)
    says = json.dumps(content, sort_keys=True).encode()
    given = Recorded(content["version"], hashlib.sha256(says).hexdigest(), at, text)
    with ledger.transaction() as connection:
        kept = policies.record(connection, given)
    if kept.digest != given.digest:
        line = _Lines(text, content).of(("version",))
        rule = "is that of another policy, which was in force; write a new one"
        raise PolicyError([f"{file}:{line}: version: {rule}"])


def _problems(error: ErrorDetails) -> Iterator[tuple[Keys, str]]:
    """Yield where each problem of one of pydantic's errors lies, with rule and remedy."""
    keys, context = error["loc"], error.get("ctx", {})
    if keys[-1] == _A_KEY:
        keys = keys[:-1]
    cause = context.get("error")
    if isinstance(cause, BrokenRulesError):
        for path, rule in cause.broken:
            yield (*keys, *path), rule
    elif error["type"] == "extra_forbidden":
        yield keys, _unknown(str(keys[-1]), _fields(keys[:-1]))
    elif error["type"] == "literal_error":
        yield keys, _unknown(str(keys[-1]), list(IDS))
    elif error["type"] == "value_error":
        yield keys, str(cause)
    else:
        yield keys, _RULES[error["type"]].format_map(context)


def _unknown(key: str, known: Sequence[str]) -> str:
    near = get_close_matches(key, known, n=1)
    return (
        f"is no key here; did you mean {near[0]}?"
        if near
        else (f"is no key here; those are {', '.join(known)}")
    )


def _fields(keys: Keys) -> Sequence[str]:
    """Return the keys that the part of the policy at ``keys`` may have."""
    kind: Any = Policy
    for key in keys:
        fields: Mapping[str, Any] | None = getattr(kind, "model_fields", None)
        if fields is None:  # a mapping's or a list's content
            kind = [each for each in get_args(kind) if each is not Ellipsis][-1]
        else:
            kind = _stated(fields[str(key)].annotation)
    return list(kind.model_fields)


def _stated(kind: Any) -> Any:
    """Return what a key holds that may be left out: what its type is besides None."""
    if not isinstance(kind, UnionType):
        return kind
    return next(each for each in get_args(kind) if each is not NoneType)


def _dotted(keys: Keys) -> str:
    """Write keys as TOML does, places in lists as ``[0]``."""
    dotted = ""
    for key in keys:
        if isinstance(key, int):
            dotted += f"[{key}]"
        else:
            dotted += f".{key if _BARE.fullmatch(key) else json.dumps(key)}"
    return dotted.lstrip(".")


class _Lines:
    """Where in a text of TOML its content is written.

    No parser for Python tells positions (tomlkit's issue 55), so TOML itself is asked: a statement
    lies between the longest part from the top that lacks its keys and the shortest that has them.
    """

    def __init__(self, text: str, content: Mapping[str, Any]) -> None:
        self._lines = text.replace("\r\n", "\n").split("\n")
        self._content = content
        self._parts: dict[int, tuple[int, Mapping[str, Any]]] = {0: (0, {})}

    def of(self, keys: Keys) -> int:
        """Return the line, from 1, where the statement begins that makes what ``keys`` lead to.

        Where it is missing, the line of what it is missing from.
        """
        while not _holds(self._content, keys):
            keys = keys[:-1]
        last = bisect_left(
            range(len(self._lines)), True, key=lambda most: _holds(self._upto(most)[1], keys)
        )
        return self._upto(max(last - 1, 0))[0] + 1

    def _upto(self, most: int) -> tuple[int, Mapping[str, Any]]:
        """Return the statements that end within the first ``most`` lines, and in which line."""
        count = most
        while count not in self._parts:
            try:
                self._parts[count] = count, tomllib.loads("\n".join(self._lines[:count]))
            except tomllib.TOMLDecodeError:  # a statement goes on below
                count -= 1
        self._parts[most] = self._parts[count]
        return self._parts[most]


def _holds(content: Any, keys: Keys) -> bool:
    for key in keys:
        try:
            content = content[key]
        except (KeyError, IndexError, TypeError):
            return False
    return True
