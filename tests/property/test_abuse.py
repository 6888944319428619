"""Windows and alerts of attacks are those of a recount that remembers everything."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.abuse import MOST_PARTS, PARTS, Access, Alert, Attack, Rule, Rules, Watch

START = 1_792_665_000_000
RULES = Rules(
    brute_force=Rule(3, 60), scan=Rule(4, 60), flood=Rule(6, 12), errors=Rule(3, 30),
    error_share=0.5, block_seconds=600,
)  # fmt: skip

Named = tuple[Attack, str, str | None, int, int]

IN_MEMORY = (
    MOST_PARTS * 2_000 - 1
)  # of what comes in any order: no more sixths of a flood than that


def accesses_within(milliseconds: int) -> st.SearchStrategy[Access]:
    return st.builds(
        Access,
        at=st.integers(START, START + milliseconds),
        site=st.sampled_from(["shop.example", "blog.example", ""]),
        token=st.sampled_from(["a" * 32, "b" * 32, None]),
        method=st.sampled_from(["GET", "POST"]),
        path=st.sampled_from(["/", "/login", "/.env", "/a", "/b", "/c", "/d", "/wp-login.php"]),
        status=st.sampled_from([200, 302, 401, 403, 404, 500, 503]),
    )


in_order = st.lists(accesses_within(150_000), max_size=80).map(
    lambda seen: sorted(seen, key=lambda each: each.at)
)
in_any_order = st.lists(accesses_within(IN_MEMORY), max_size=60)


def named(alerts: Sequence[Alert]) -> list[Named]:
    return [(each.kind, each.site, each.token, each.window, each.count) for each in alerts]


def sixth(kind: Attack, access: Access) -> int:
    """Which sixth of a window a request belongs to; each begins on the clock."""
    return access.at // (RULES.rule(kind).seconds * 1000 // PARTS)


def counts_for(kind: Attack, access: Access) -> bool:
    """Say it in other words than the product: by lists of what the pages here are."""
    if kind is Attack.FLOOD:
        return True
    if kind is Attack.BRUTE_FORCE:
        tried = access.method == "POST" and access.path in ("/login", "/wp-login.php")
        return access.status in (401, 403) or (tried and access.status == 200)
    if kind is Attack.SCAN:
        return access.status == 404 or access.path in ("/.env", "/wp-login.php")
    return access.status >= 500


def recount(seen: Sequence[Access]) -> list[Named]:
    """Look at all that came before, for each request and rule anew."""
    found: list[Named] = []
    for index, access in enumerate(seen):
        for kind in Attack:
            whose = None if kind is Attack.ERRORS else access.token
            if not counts_for(kind, access) or (whose is None and kind is not Attack.ERRORS):
                continue
            if kind is Attack.ERRORS and not access.site:
                continue
            now = sixth(kind, access)
            before = [
                each
                for each in seen[: index + 1]
                if now - PARTS < sixth(kind, each) <= now
                and each.site == access.site
                and (whose is None or each.token == whose)
            ]
            those = [each for each in before if counts_for(kind, each)]
            count = len({each.path for each in those}) if kind is Attack.SCAN else len(those)
            enough = count >= RULES.rule(kind).count and (
                kind is not Attack.ERRORS or count >= 0.5 * len(before)
            )
            window = now // PARTS
            if enough and (kind, access.site, whose, window) not in [each[:4] for each in found]:
                found.append((kind, access.site, whose, window, count))
    return found


def watched(seen: Sequence[Access], watch: Watch | None = None) -> list[Alert]:
    watch = Watch(RULES) if watch is None else watch
    return [alert for access in seen for alert in watch.see(access)]


@settings(max_examples=400)
@given(in_order | in_any_order)
def test_alerts_are_those_of_a_recount(seen: list[Access]) -> None:
    """In whatever order requests come: what is late counts in the window it belongs to."""
    alerts = sorted(named(watched(seen)), key=repr)
    assert [each[:4] for each in alerts] == sorted([each[:4] for each in recount(seen)], key=repr)
    counts = {each[:4]: each[4] for each in recount(seen)}
    for kind, site, token, window, count in alerts:
        assert RULES.rule(kind).count <= count <= counts[kind, site, token, window]


@settings(max_examples=200)
@given(in_order.filter(bool), st.data())
def test_who_begins_a_window_earlier_raises_the_same_alerts(
    seen: list[Access], data: st.DataObject
) -> None:
    """A reader that starts anew reads the longest window before its place, and loses nothing."""
    place = data.draw(st.integers(0, len(seen) - 1))
    reads_from = seen[place].at - RULES.longest_seconds * 1000
    watch = Watch(RULES)
    again = {
        each[:4]
        for access in seen
        if access.at >= reads_from
        for each in named(list(watch.see(access)))
    }
    before = {each[:4] for each in named(watched(seen[:place]))}
    assert before | again >= {each[:4] for each in named(watched(seen))}
    assert again <= {each[:4] for each in named(watched(seen))}


@settings(max_examples=100)
@given(in_any_order, st.integers(1, 8))
def test_memory_is_bounded_by_windows(seen: list[Access], most: int) -> None:
    watch = Watch(RULES, most)
    for access in seen:
        list(watch.see(access))
        assert len(watch) <= most


def test_memory_of_a_window_is_bounded() -> None:
    """By whatever many pages, and a log of however many days behind a request of this moment."""
    watch = Watch(RULES)
    scan = [Access(START, "shop.example", "a" * 32, "GET", f"/{n}", 404) for n in range(5_000)]
    old = [
        Access(START - n * 10_000, "shop.example", "a" * 32, "GET", "/x", 404)
        for n in range(5_000, 0, -1)
    ]
    assert {each.kind for each in watched(scan, watch)} == {Attack.SCAN, Attack.FLOOD}
    watched(old, watch)
    assert len(watch) >= 3
    for window in watch._windows.values():
        assert len(window._sixths) <= MOST_PARTS
        things = [each for each in window._sixths.values() if isinstance(each, set)]
        assert sum(map(len, things)) <= MOST_PARTS * RULES.scan.count
        assert len(window._raised) <= MOST_PARTS


def test_an_old_log_read_late_takes_nothing_from_what_happens_now() -> None:
    """Of the same visitor: each window has what belongs to it, and old ones block nobody now."""
    now = [Access(START + n, "shop.example", "a" * 32, "POST", "/login", 401) for n in range(4)]
    old = [
        Access(START - 86_400_000 + n * 9_000, "shop.example", "a" * 32, "POST", "/login", 401)
        for n in range(600)
    ]
    mixed = [*now[:2], *old, *now[2:]]
    alerts = [each for each in watched(mixed) if each.kind is Attack.BRUTE_FORCE]
    live = [each for each in alerts if each.at >= START]
    assert len(live) == 1
    assert live[0].until == now[2].at + 600_000
    assert len(alerts) - 1 >= 600 * 9 // 60 - 1, "and the old ones are found too"
    assert all(each.until < START for each in alerts if each.at < START)


def test_failures_are_told_from_a_share_of_the_answers_on() -> None:
    """Some fail on any busy day."""
    for well, told in ((3, True), (4, False)):
        answers = [200] * well + [500] * 3
        seen = [
            Access(START + at, "shop.example", None, "GET", "/", status)
            for at, status in enumerate(answers)
        ]
        assert [each.kind for each in watched(seen)] == [Attack.ERRORS] * told
