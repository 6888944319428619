"""A copy goes to another controller over TLS that holds, once, or is there to be fetched (S19)."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lethe.standins.controller import Controller
from lethe.standins.server import in_loop, serving_app
from privacy.links import answer_id
from privacy.rights.plan import Act
from sinks.keys.answers import seal_answer
from sinks.ledger import answers
from sinks.ledger.answers import Answer
from streams.rights.doing import Done, Later
from streams.rights.sending import LostError, Parcel, send
from streams.rights.transfer import TransferActs
from tests.authority import Authority

DAY_MS = 86_400_000
COPY = b'{"city": "Ghent"}'
RECEIVED = "received by bank: HTTP"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


Serve = Callable[..., tuple[Controller, str]]


@pytest.fixture
def serve(authority: Authority) -> Iterator[Serve]:
    """Run controllers at an address of this machine, certified for it or for another."""
    with ExitStack() as stack:

        def served(*moods: int, certified: str = "127.0.0.1") -> tuple[Controller, str]:
            bank = Controller("bank-token", moods)
            tls = authority.serving(certified)
            server = serving_app(bank.application(), "127.0.0.1", 0, tls)
            return bank, stack.enter_context(in_loop(server)) + "/copies"

        yield served


@pytest.fixture
def transfer(office: Any, authority: Authority) -> Callable[[str], Done | Later]:
    """Do the step for a copy that is there, with the controller at an address."""
    folder = office.secrets / "controllers"
    folder.mkdir(parents=True)
    (folder / "bank").write_text("bank-token\n")
    token = "the-token"
    copy = Answer(
        answer_id(token), "r", "copy.json", "application/json", seal_answer(token, COPY),
        office.now, office.now + 14 * DAY_MS,
    )  # fmt: skip
    office.doing(Act.TRANSFER)  # the request, which the copy is of
    with office.ledger.transaction() as connection:
        answers.put(connection, copy)

    def done(url: str) -> Done | Later:
        rules = office.policy.rights
        bank = rules.controllers["bank"].model_copy(update={"url": url})
        there = rules.model_copy(update={"controllers": {"bank": bank}})
        policy = office.policy.model_copy(update={"rights": there})
        acts = TransferActs(policy, office.ledger, office.secrets, authority.trusting())
        doing = office.doing(Act.TRANSFER, transfer_to="bank")
        return acts.outside()[Act.TRANSFER](doing)

    return done


def test_a_copy_is_received_and_the_receipt_says_what(serve: Serve, transfer: Any) -> None:
    bank, url = serve()
    done = transfer(url)
    assert done.outcome.startswith(f"{RECEIVED} 201, sha256 ")
    assert bank.taken == {"r": COPY}
    again = transfer(url)  # after a crash: the same key
    assert again.outcome.startswith(f"{RECEIVED} 200, sha256 ")
    assert bank.taken == {"r": COPY}


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_who_is_not_ready_is_asked_again(serve: Serve, transfer: Any, status: int) -> None:
    bank, url = serve(status)
    assert isinstance(transfer(url), Later)
    assert transfer(url).outcome.startswith(RECEIVED)
    assert bank.asked == 2


@pytest.mark.parametrize("status", [302, 307, 400, 401, 404])
def test_who_refuses_is_not_asked_again_nor_followed_elsewhere(
    serve: Serve, transfer: Any, status: int
) -> None:
    bank, url = serve(status)
    assert transfer(url) == Done(f"not received by bank: HTTP {status}")
    assert (bank.asked, bank.taken) == (1, {})


def test_a_certificate_for_another_is_refused(serve: Serve, transfer: Any) -> None:
    bank, url = serve(certified="127.0.0.2")
    assert isinstance(transfer(url), Later)
    assert bank.asked == 0


def test_a_certificate_of_an_unknown_authority_is_refused(serve: Serve, tmp_path: Path) -> None:
    bank, url = serve()
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    with pytest.raises(LostError, match="Certificate"):
        send(Parcel(url, "r", "application/json", COPY, "bank-token"), other.trusting())
    assert bank.asked == 0


def test_who_never_answers_is_given_up_while_the_copy_can_be_fetched(
    office: Any, serve: Serve, transfer: Any
) -> None:
    _, url = serve(*[500] * 9)
    made_at = office.now
    office.now = made_at + 7 * DAY_MS - 1
    assert transfer(url) == Later(made_at + 7 * DAY_MS)
    office.now += 1
    assert transfer(url) == Done("not received by bank: HTTP 500")


def test_without_a_token_or_a_copy_nothing_is_sent(
    office: Any, serve: Serve, transfer: Any
) -> None:
    bank, url = serve()
    (office.secrets / "controllers" / "bank").unlink()
    assert isinstance(transfer(url), Later)
    with office.ledger.transaction() as connection:
        assert answers.take(connection, answer_id("the-token"), office.now)
    assert transfer(url) == Done("not received by bank: no copy was made")
    assert bank.asked == 0


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.1", "192.168.1.1", "169.254.169.254", "[fd00::1]", "[::ffff:10.0.0.1]", "0.0.0.0",
        "localhost",  # a name may lead nowhere private, not even here
    ],
)  # fmt: skip
def test_nothing_is_sent_to_a_private_address(authority: Authority, host: str) -> None:
    parcel = Parcel(f"https://{host}:9/", "r", "application/json", COPY, "t")
    with pytest.raises(LostError, match=r"PrivateAddress|ClientConnectorDNSError"):
        send(parcel, authority.trusting())


def test_nothing_is_sent_in_the_clear(authority: Authority) -> None:
    parcel = Parcel("http://127.0.0.1:9/", "r", "application/json", COPY, "t")
    with pytest.raises(LostError, match="InTheClear"):
        send(parcel, authority.trusting())
