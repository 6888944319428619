"""The trees of statistics: what is shown, case by case."""

from collections.abc import Iterable
from itertools import chain

import pytest

from privacy.disclosure import Cell, Path, Row, publish, rounded, select


def cells_of(leaves: dict[Path, Iterable[int]], k: int) -> dict[Path, Cell]:
    """Count every level; each visitor makes one event in a leaf."""
    seen: dict[Path, list[int]] = {}
    for leaf, visitors in leaves.items():
        for depth in range(len(leaf) + 1):
            seen.setdefault(leaf[:depth], []).extend(visitors)
    return {
        path: Cell(
            len(set(found)), len(found), frozenset(found) if len(set(found)) < k else frozenset()
        )
        for path, found in seen.items()
    }


def shown(leaves: dict[Path, Iterable[int]], k: int = 3) -> list[tuple[str, int, int]]:
    """Return (path, visitors, events) of what is published, unrounded."""
    leaves = {path: list(visitors) for path, visitors in leaves.items()}
    cells = cells_of(leaves, k)
    selection = select(cells, k)
    overlaps = {}
    for rest in selection.rests:
        if rest.large is not None:
            inside = [v for path, v in leaves.items() if path[: len(rest.large)] == rest.large]
            overlaps[rest.parent] = len(rest.members.intersection(chain.from_iterable(inside)))
    return [
        ("/".join(row.path), row.visitors, row.events)
        for row in publish(cells, selection, overlaps, rounding=1)
    ]


def test_nothing_is_shown_of_a_day_with_fewer_than_k_visitors() -> None:
    assert shown({("DE", "Kiel"): [1, 2]}) == []
    assert shown({}) == []


def test_everything_is_shown_when_nothing_is_small() -> None:
    assert shown({("DE",): range(3), ("FR",): range(3, 8)}) == [
        ("", 8, 8),
        ("DE", 3, 3),
        ("FR", 5, 5),
    ]


def test_one_small_child_takes_the_smallest_shown_one_with_it() -> None:
    assert shown({("DE",): range(3), ("FR",): range(10, 15), ("LI",): [20]}) == [
        ("", 9, 9),
        ("(other)", 4, 4),
        ("FR", 5, 5),
    ]


def test_a_tie_is_broken_by_name() -> None:
    figures = shown({("B",): range(3), ("A",): range(3, 6), ("C",): range(6, 9), ("small",): [9]})
    assert [path for path, *_ in figures] == ["", "(other)", "B", "C"]


def test_small_children_that_are_many_together_need_no_company() -> None:
    assert shown({("DE",): range(5), ("LI",): [6, 7], ("MC",): [8, 9]}) == [
        ("", 9, 9),
        ("(other)", 4, 4),
        ("DE", 5, 5),
    ]


def test_two_small_cities_with_the_same_visitor_are_one_visitor() -> None:
    figures = shown({("DE",): range(5), ("LI",): [7], ("MC",): [7], ("FR",): range(10, 13)})
    assert figures == [("", 9, 10), ("(other)", 4, 5), ("DE", 5, 5)]


def test_a_visitor_of_the_small_and_the_large_child_counts_once() -> None:
    assert shown({("DE",): range(5), ("FR",): [5, 6, 7], ("LI",): [5]})[1] == ("(other)", 3, 4)


def test_nothing_is_shown_below_a_withheld_cell() -> None:
    """The one quiet hour of Kiel takes a loud one along; LI takes FR along, hours and all."""
    kiel = {("DE", "Kiel", hour): range(n) for hour, n in (("08", 4), ("09", 5), ("10", 1))}
    assert shown({**kiel, ("FR", "Nice", "08"): range(10, 13), ("LI", "Vaduz", "08"): [20]}) == [
        ("", 9, 14),
        ("(other)", 4, 4),
        ("DE", 5, 10),
        ("DE/Kiel", 5, 10),
        ("DE/Kiel/(other)", 4, 5),
        ("DE/Kiel/09", 5, 5),
    ]


def test_all_children_small_leaves_one_rest_equal_to_the_parent() -> None:
    assert shown({("A",): [1], ("B",): [2], ("C",): [3]}) == [("", 3, 3), ("(other)", 3, 3)]


def test_a_page_called_other_stays_apart_from_the_rest() -> None:
    cells = cells_of({("(other)",): range(5), ("x",): [7, 8], ("y",): [8, 9]}, 3)
    rows = publish(cells, select(cells, 3), {}, rounding=1)
    assert [(row.path, row.other, row.visitors) for row in rows[1:]] == [
        (("(other)",), False, 5),
        (("(other)",), True, 3),
    ]


def test_figures_are_rounded_half_up_and_last() -> None:
    assert [rounded(figure, 5) for figure in (0, 2, 3, 7, 8, 12)] == [0, 0, 5, 5, 10, 10]
    assert [rounded(figure, 2) for figure in (1, 2, 3)] == [2, 2, 4]
    assert rounded(13, 1) == 13
    cells = {(): Cell(12, 13)}
    assert publish(cells, select(cells, 10), {}, rounding=5) == [Row((), False, 10, 15)]


def test_a_small_cell_without_all_its_visitors_is_refused() -> None:
    with pytest.raises(ValueError, match="all of them"):
        select({(): Cell(5, 5), ("a",): Cell(2, 2, frozenset([1]))}, 3)
