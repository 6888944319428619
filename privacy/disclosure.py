"""What may be shown of a count: k-anonymous trees with complementary suppression (S11, S12).

A site's day is counted in trees. Each cell is a part of the one above it, and each event lies in
exactly one cell of every level::

    total 210                       total 210
    ├─ DE 150                       ├─ DE 150
    │  ├─ Berlin 120                │  ├─ Berlin 120
    │  ├─ Husum 4       k = 10      │  └─ (other) 30       Husum 4, Mainz 26
    │  └─ Mainz 26     ───────>     └─ (other) 60          FR 52, LI 3, MC 5
    ├─ FR 52
    ├─ LI 3
    └─ MC 5

A child with fewer than ``k`` distinct visitors is withheld. Where the withheld children of a cell
have fewer than ``k`` visitors *together*, their sum is still a small number, and it would be known:
it is the parent less the children that are shown. So the smallest of those is withheld too
(complementary suppression), as Mainz and FR are here. The withheld children become one row,
``(other)``, and nothing below them is shown. Figures are rounded last.

The guarantee: no count of a set of events with fewer than ``k`` visitors can be worked out of what
is shown of a tree by adding and subtracting. Proof: the rows without a shown row below them (call
them atoms) are disjoint, every other row is a sum of atoms, and each atom has at least ``k``
visitors: a shown cell by the first rule, ``(other)`` by the second. A sum of rows with any factors
counts each atom's events with one factor, so it is the count of a set of events only if that set is
made of whole atoms; unless it is empty it then has at least ``k`` visitors. Trees of one day share
their total and no other cell, and there is no row that crosses two of them.

It is no guarantee against someone who knows the other visitors of a cell from elsewhere, and
visitors are counted by a hash that changes each day: who comes on two days is two visitors.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

OTHER = "(other)"

Path = tuple[str, ...]
"""Where a cell is: names from the root down; the root is the empty path."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The visitors (distinct) and events of a cell; who they are, if they are fewer than k."""

    visitors: int
    events: int
    members: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Rest:
    """The withheld children of a shown cell.

    ``members`` are the visitors of the small ones; ``large`` is the child that was withheld for
    their sake, if that was necessary.
    """

    parent: Path
    events: int
    members: frozenset[int]
    large: Path | None


@dataclass(frozen=True, slots=True)
class Selection:
    """What is shown of a tree, before figures are made of it."""

    shown: Sequence[Path]
    rests: Sequence[Rest]


@dataclass(frozen=True, slots=True)
class Row:
    """A figure that may be shown; ``other``: it stands for the withheld children of its parent."""

    path: Path
    other: bool
    visitors: int
    events: int


def select(cells: Mapping[Path, Cell], k: int) -> Selection:
    """Decide which cells of one tree are shown; none if the root has fewer than ``k`` visitors.

    ``cells`` holds every cell that is not empty, on every level. Raise ValueError when the
    members of a small cell are not all there: the union of small cells would come out too small.
    """
    children: dict[Path, list[Path]] = defaultdict(list)
    for path, cell in cells.items():
        if cell.visitors < k and len(cell.members) != cell.visitors:
            raise ValueError("a cell with fewer than k visitors must come with all of them")
        if path:
            children[path[:-1]].append(path)
    shown: list[Path] = []
    rests: list[Rest] = []
    open_cells: list[Path] = [()] if () in cells and cells[()].visitors >= k else []
    while open_cells:
        parent = open_cells.pop()
        shown.append(parent)
        small = [path for path in children[parent] if cells[path].visitors < k]
        fit = sorted(
            (path for path in children[parent] if cells[path].visitors >= k),
            key=lambda path: (cells[path].visitors, path),
        )
        if small:
            members = frozenset().union(*(cells[path].members for path in small))
            large = fit.pop(0) if len(members) < k else None
            withheld = small if large is None else [*small, large]
            rests.append(Rest(parent, sum(cells[path].events for path in withheld), members, large))
        open_cells += fit
    return Selection(shown, rests)


def publish(
    cells: Mapping[Path, Cell],
    selection: Selection,
    overlaps: Mapping[Path, int],
    rounding: int,
) -> list[Row]:
    """Return the rows to show, in the order of their paths.

    ``overlaps`` says for each ``Rest`` with a ``large`` child, by its parent, how many of
    ``members`` are visitors of that child too. Figures become the nearest multiple of
    ``rounding``, the half going up; 1 leaves them exact.
    """
    rows = [
        Row(path, other=False, visitors=cells[path].visitors, events=cells[path].events)
        for path in selection.shown
    ]
    for rest in selection.rests:
        visitors = len(rest.members)
        if rest.large is not None:
            visitors += cells[rest.large].visitors - overlaps[rest.parent]
        rows.append(Row((*rest.parent, OTHER), other=True, visitors=visitors, events=rest.events))
    return sorted(
        (
            Row(row.path, row.other, rounded(row.visitors, rounding), rounded(row.events, rounding))
            for row in rows
        ),
        key=lambda row: (row.path, row.other),
    )


def rounded(figure: int, step: int) -> int:
    """Return the multiple of ``step`` nearest to ``figure``, the larger of two."""
    return (2 * figure + step) // (2 * step) * step
