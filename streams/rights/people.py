"""People in a file of an operator's."""

import csv
from collections.abc import Iterator
from pathlib import Path

from privacy.form_rules import rule
from privacy.policy import FieldKind, FormField
from privacy.rights.request import LANGUAGES
from streams.settings import SettingsError

_EMAIL = rule(FormField(title="Whose cases it is about.", kind=FieldKind.EMAIL))


def read_people(file: Path) -> list[tuple[str, str]]:
    """Return the addresses of a CSV file with the language of each, those that come twice once.

    It has a column ``email`` and may have one ``language``. Raise SettingsError that names the line
    and the rule, and OSError.
    """
    with file.open(newline="", encoding="utf-8") as text:
        return list(dict(_people(text_lines=csv.DictReader(text))).items())


def _people(text_lines: "csv.DictReader[str]") -> Iterator[tuple[str, str]]:
    if "email" not in (text_lines.fieldnames or ()):
        raise SettingsError("line 1: no column email; write its name in the first line")
    for row in text_lines:
        email = (row["email"] or "").strip()
        if broken := _EMAIL.problem(email):
            raise SettingsError(f"line {text_lines.line_num}: email {broken}")
        language = (row.get("language") or LANGUAGES[0]).strip()
        if language not in LANGUAGES:
            known = ", ".join(LANGUAGES)
            raise SettingsError(f"line {text_lines.line_num}: language must be one of {known}")
        yield email, language
