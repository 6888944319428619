"""An answer to a request for access, as files: a page to read, JSON, and tables (Art. 12(1); S18).

The page has no script and loads nothing. Whatever was filled in is escaped; a table's cell that a
spreadsheet would take for a formula is put in quotes for it.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape

from privacy.rights.copy import Cell, Copy, Row, Store
from privacy.rights.explain import Explanation, as_data
from privacy.rights.words import words
from privacy.rights.words.shape import Headings

FORMAT = "lethe-access/1"

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; }
h1, h2, h3 { line-height: 1.2; margin: 2rem 0 .5rem; }
h2 { border-bottom: 2px solid #222; padding-bottom: .25rem; }
div.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; min-width: 50%; }
th, td { border: 1px solid #bbb; padding: .25rem .5rem; text-align: left; vertical-align: top;
  overflow-wrap: anywhere; min-width: 5rem; max-width: 24rem; white-space: pre-line; }
th { background: #eee; }
dt { font-weight: bold; }
dd { margin: 0 0 .5rem 1rem; }
p { white-space: pre-line; }
@media print {
  body { max-width: none; margin: 0; font-size: 11px; }
  div.table { overflow: visible; }
  thead { display: table-header-group; }
  tr, dt, h2, h3 { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
}
"""


def page(copy: Copy, explained: Explanation, language: str, made_at: str) -> str:
    """Return the page, in HTML; ``made_at`` as people read it."""
    return "\n".join(_page(copy, explained, words(language).headings, language, made_at)) + "\n"


def data(copy: Copy, explained: Explanation, made_at: str) -> str:
    """Return copy and explanations as JSON; ``made_at`` in RFC 3339."""
    content = {
        "format": FORMAT,
        "made_at": made_at,
        "data": {store.value: list(rows) for store, rows in _all(copy)},
        "explanation": as_data(explained),
    }
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def tables(copy: Copy) -> Iterator[tuple[Store, str]]:
    """Yield each store that holds something as CSV (RFC 4180), a header first."""
    for store, rows in _all(copy):
        if rows:
            lines = _Lines()
            writer, names = csv.writer(lines), columns(rows)
            writer.writerow(names)
            writer.writerows([_tame(row.get(name)) for name in names] for row in rows)
            yield store, "".join(lines)


class _Lines(list[str]):
    """What ``csv`` writes to: no file is needed."""

    write = list.append


def columns(rows: Iterable[Row]) -> Sequence[str]:
    """Return the columns of rows, in the order in which they come up."""
    return list(dict.fromkeys(name for row in rows for name in row))


def _all(copy: Copy) -> Iterator[tuple[Store, Sequence[Row]]]:
    for store in Store:
        yield store, copy.rows.get(store, ())


def _empty(copy: Copy) -> Iterator[Store]:
    return (store for store, rows in _all(copy) if not rows)


def _tame(value: Cell) -> Cell:
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value


def _page(
    copy: Copy, explained: Explanation, said: Headings, language: str, made_at: str
) -> Iterator[str]:
    yield "<!doctype html>"
    yield f'<html lang="{escape(language)}">'
    yield '<head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(said.title)}</title>"
    yield f"<style>{_STYLE}</style></head>"
    yield f"<body><h1>{escape(said.title)}</h1>"
    yield f"<p>{escape(explained.controller)}</p>"
    yield f"<p>{escape(said.made_at.format(at=made_at))}</p>"
    yield f"<h2>{escape(said.data)}</h2>"
    for store, rows in _all(copy):
        if rows:
            yield f"<h3>{escape(said.stores[store])}</h3>"
            yield from _table(rows)
    yield from _definitions({said.nothing: [said.stores[store] for store in _empty(copy)]})
    yield f"<h2>{escape(said.purposes)}</h2>"
    for entry in explained.entries:
        yield f"<h3>{escape(entry.title)}</h3>"
        yield from _definitions(
            {
                said.purposes: entry.purposes,
                said.legal_basis: [entry.legal_basis],
                said.categories: entry.data,
                said.recipients: entry.recipients,
                said.transfers: entry.transfers or [said.no_transfers],
                said.kept_until: [entry.kept_until],
            }
        )
    yield from _told(explained, said)
    yield "</body></html>"


def _told(explained: Explanation, said: Headings) -> Iterator[str]:
    parts = {
        said.rights: explained.rights,
        said.complaint: explained.complaint,
        said.source: explained.source,
        said.automated: explained.automated,
        said.controller: f"{explained.controller}\n{explained.contact}",
        said.officer: explained.officer,
    }
    for heading, text in parts.items():
        if text is not None:
            yield f"<h2>{escape(heading)}</h2><p>{escape(text)}</p>"


def _table(rows: Sequence[Row]) -> Iterator[str]:
    """Yield rows as a table, without columns that say nothing of any."""
    names = [name for name in columns(rows) if any(row.get(name) is not None for row in rows)]
    heads = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in names)
    yield f'<div class="table"><table><thead><tr>{heads}</tr></thead><tbody>'
    for row in rows:
        cells = "".join(f"<td>{escape(_shown(row.get(name)))}</td>" for name in names)
        yield f"<tr>{cells}</tr>"
    yield "</tbody></table></div>"


def _shown(value: Cell) -> str:
    """Return a value as people read it: a time to the minute."""
    text = "" if value is None else str(value)
    return f"{text[:10]} {text[11:16]} UTC" if _TIME.fullmatch(text) else text


_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)", re.ASCII)


def _definitions(parts: Mapping[str, Sequence[str]]) -> Iterator[str]:
    yield "<dl>"
    for name, values in parts.items():
        if any(values):
            yield f"<dt>{escape(name)}</dt>"
            yield from (f"<dd>{escape(each)}</dd>" for each in values)
    yield "</dl>"
