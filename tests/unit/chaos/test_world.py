"""What the rig reads off the calls that providers got: whom they have something of."""

from lethe.standins.account import SITE, ad_ids
from lethe.standins.desk import Answer, Call, Removal
from sinks.ads import hashing
from tests.chaos.owed import Owed, Visit
from tests.chaos.world import _entering, _there

ANN, BOB = "cookie-7-1", "cookie-7-2"
MEMBERS = {hashing.member(SITE, who): who for who in (ANN, BOB)}
NAMES = {who: name for name, who in MEMBERS.items()}


def call(provider: str, began: int, answer: Answer, method: str = "POST") -> tuple[Call, Answer]:
    content = {"data": [*answer.taken]}
    return Call(provider, began, method, "/", {}, {}, content, 0), answer


def there(*calls: tuple[Call, Answer]) -> frozenset[tuple[str, str]]:
    owed = Owed([])
    owed.visits["a"] = Visit(ANN, 1, 0, "/tea", late=False, tried_at=0)
    return _there(calls, owed, MEMBERS)


def taken(*names: str) -> Answer:
    return Answer(200, taken=names)


def removed(*whom: str) -> Answer:
    return Answer(200, removed=[Removal("any", each) for each in whom])


def test_what_was_taken_is_there_until_it_is_removed() -> None:
    entered = call("meta", 1, taken(NAMES[ANN], NAMES[BOB])), call("ga4", 2, taken("a"))
    assert there(*entered) == {("meta", ANN), ("meta", BOB), ("ga4", ANN)}
    left = call("meta", 3, removed(NAMES[ANN]), "DELETE")
    assert there(*entered, left) == {("meta", BOB), ("ga4", ANN)}
    forgotten = call("ga4", 4, removed(ad_ids(1)["ga_client_id"]))
    assert there(*entered, left, forgotten) == {("meta", BOB)}


def test_what_began_after_a_removal_is_there_whenever_it_was_answered() -> None:
    first, last = call("ga4", 5, taken("a")), call("ga4", 4, removed(ad_ids(1)["ga_client_id"]))
    assert there(first, last) == {("ga4", ANN)}


def test_whom_a_call_would_make_a_member_counts_although_it_was_refused() -> None:
    content = {"payload": {"data": [[NAMES[ANN]]]}}
    entering = Call("meta", 1, "POST", "/", {}, {}, content, 0)
    assert _entering(entering) == [NAMES[ANN]]
    leaving = Call("meta", 1, "DELETE", "/", {}, {}, entering.content, 0)
    assert not _entering(leaving)
