"""No arithmetic on what is shown yields a number about fewer than k visitors."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import chain, combinations, product

from hypothesis import example, given, settings
from hypothesis import strategies as st

from privacy.disclosure import OTHER, Cell, Path, Row, publish, select

Event = tuple[Path, int]
"""Leaf and visitor."""

names = st.sampled_from("abc")
visitors = st.integers(0, 7)
trees = st.lists(st.tuples(st.tuples(names, names, st.sampled_from("xy")), visitors), max_size=40)
thresholds = st.integers(2, 4)

HARD: Sequence[list[Event]] = (
    # One tiny city beside a large one.
    [*((("DE", "Ulm", "9"), v) for v in range(6)), (("DE", "Au", "9"), 7)],
    # Two tiny cities with the same single visitor.
    [*((("DE", c, "9"), v) for c in ("Ulm", "Bonn") for v in range(6)),
     (("DE", "Au", "9"), 7), (("DE", "Ow", "9"), 7)],
    # A city with one quiet hour.
    [*((("DE", "Ulm", h), v) for h in ("8", "9") for v in range(6)), (("DE", "Ulm", "3"), 0)],
    # A country with one small city.
    [*((("DE", "Ulm", "9"), v) for v in range(6)), (("LI", "Vaduz", "9"), 7)],
    # Everything small.
    [(("DE", str(v), str(v)), v) for v in range(7)],
)  # fmt: skip


def visitors_of(events: Iterable[Event]) -> set[int]:
    return {visitor for _, visitor in events}


def below(events: Iterable[Event], path: Path) -> list[Event]:
    return [event for event in events if event[0][: len(path)] == path]


def cells_of(events: Sequence[Event], k: int) -> dict[Path, Cell]:
    paths = {leaf[:depth] for leaf, _ in events for depth in range(len(leaf) + 1)}
    cells = {}
    for path in paths:
        inside = below(events, path)
        members = frozenset(visitors_of(inside))
        cells[path] = Cell(len(members), len(inside), members if len(members) < k else frozenset())
    return cells


def published(events: Sequence[Event], k: int, rounding: int = 1) -> list[Row]:
    cells = cells_of(events, k)
    selection = select(cells, k)
    overlaps = {
        rest.parent: len(rest.members & visitors_of(below(events, rest.large)))
        for rest in selection.rests
        if rest.large is not None
    }
    return publish(cells, selection, overlaps, rounding)


def written_anew(events: list[Event], k: int, path: Path = ()) -> Iterator[Row]:
    """Do the same once more, from the events themselves and by recursion."""
    if len(visitors_of(events)) < k:
        return
    yield Row(path, False, len(visitors_of(events)), len(events))
    parts: dict[str, list[Event]] = defaultdict(list)
    for leaf, visitor in events:
        if len(leaf) > len(path):
            parts[leaf[len(path)]].append((leaf, visitor))
    ranking = sorted(parts, key=lambda name: (len(visitors_of(parts[name])), name))
    hidden: list[Event] = []
    while ranking and (len(visitors_of(parts[ranking[0]])) < k or 0 < len(visitors_of(hidden)) < k):
        hidden += parts[ranking.pop(0)]
    for name in ranking:
        yield from written_anew(parts[name], k, (*path, name))
    if hidden:
        yield Row((*path, OTHER), True, len(visitors_of(hidden)), len(hidden))


def known(rows: Sequence[Row], unknowns: Sequence[Path]) -> list[list[Fraction]]:
    """Return the equations a reader has: which unknowns each row is the sum of."""
    shown = [row.path for row in rows if not row.other]
    equations = []
    for row in rows:
        parent = row.path[:-1] if row.other else row.path
        siblings = [path for path in shown if row.other and path[:-1] == parent and path]
        equations.append(
            [
                Fraction(
                    leaf[: len(parent)] == parent
                    and not any(leaf[: len(path)] == path for path in siblings)
                )
                for leaf in unknowns
            ]
        )
    return equations


def solved(equations: Iterable[list[Fraction]]) -> list[tuple[int, list[Fraction]]]:
    """Bring equations into echelon form: (pivot, equation) each."""
    basis: list[tuple[int, list[Fraction]]] = []
    for equation in equations:
        rest = reduced(equation, basis)
        pivot = next((i for i, factor in enumerate(rest) if factor), None)
        if pivot is not None:
            basis.append((pivot, [factor / rest[pivot] for factor in rest]))
    return basis


def reduced(
    equation: list[Fraction], basis: Sequence[tuple[int, list[Fraction]]]
) -> list[Fraction]:
    for pivot, known_equation in basis:
        if factor := equation[pivot]:
            equation = [a - factor * b for a, b in zip(equation, known_equation, strict=True)]
    return equation


def worked_out(
    equations: list[list[Fraction]], unknowns: Sequence[Path], events: Sequence[Event], k: int
) -> list[tuple[Path, ...]]:
    """Return every set of unknowns with 1 to k-1 visitors whose sum a reader can work out."""
    basis = solved(equations)
    by_leaf = {leaf: visitors_of(below(events, leaf)) for leaf in unknowns}
    subsets = chain.from_iterable(combinations(unknowns, n) for n in range(1, len(unknowns) + 1))
    return [
        subset
        for subset in subsets
        if 0 < len(set().union(*(by_leaf[leaf] for leaf in subset))) < k
        and not any(reduced([Fraction(leaf in subset) for leaf in unknowns], basis))
    ]


def examples(test: Callable[..., None]) -> Callable[..., None]:
    """Try the hard data sets before the random ones."""
    for events in HARD:
        test = example(events, 3)(test)
    return test


@examples
@given(trees, thresholds)
@settings(max_examples=400)
def test_no_small_sum_can_be_worked_out(events: list[Event], k: int) -> None:
    leaves = sorted({leaf for leaf, _ in events})[:9]
    events = [event for event in events if event[0] in leaves]
    rows = published(events, k)
    assert worked_out(known(rows, leaves), leaves, events, k) == []


@given(
    st.lists(st.tuples(st.tuples(names, names), visitors), max_size=30),
    thresholds,
)
@settings(max_examples=100)
def test_nor_by_combining_two_trees(pairs: list[Event], k: int) -> None:
    """The reader knows the same events cut in two ways; each pair of names is an unknown."""
    unknowns = list(product("abc", "abc"))
    turned = [((second, first), visitor) for (first, second), visitor in pairs]
    equations: list[list[Fraction]] = []
    for events, back in ((pairs, False), (turned, True)):
        flat = [(leaf[:1], visitor) for leaf, visitor in events]
        seen = [leaf[::-1] if back else leaf for leaf in unknowns]
        equations += known(published(flat, k), seen)
    assert worked_out(equations, unknowns, pairs, k) == []


@examples
@given(trees, thresholds)
@settings(max_examples=400)
def test_another_implementation_shows_the_same(events: list[Event], k: int) -> None:
    rows = sorted(written_anew(events, k), key=lambda row: (row.path, row.other))
    assert published(events, k) == rows


@examples
@given(trees, thresholds)
@settings(max_examples=200)
def test_every_figure_counts_k_visitors_and_parts_add_up(events: list[Event], k: int) -> None:
    rows = published(events, k)
    assert all(row.visitors >= k for row in rows)
    parts: dict[Path, int] = defaultdict(int)
    for row in rows:
        if row.path:
            parts[row.path[:-1]] += row.events
    totals = {row.path: row.events for row in rows if not row.other}
    assert all(totals[path] == events for path, events in parts.items())


@given(trees, thresholds, st.integers(1, 50))
def test_rounding_comes_last_and_changes_no_choice(
    events: list[Event], k: int, rounding: int
) -> None:
    exact, coarse = published(events, k), published(events, k, rounding)
    assert [(row.path, row.other) for row in exact] == [(row.path, row.other) for row in coarse]
    for a, b in zip(exact, coarse, strict=True):
        assert b.events % rounding == 0
        assert abs(b.events - a.events) * 2 <= rounding
