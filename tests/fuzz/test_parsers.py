"""Whatever comes from outside is read or refused, and never breaks who reads it."""

import time
from contextlib import suppress
from pathlib import Path

import pytest

from schemas.codec import WireError, WireFault, decode
from tests.fuzz.inputs import CORPUS, Inputs, corpus
from tests.fuzz.parsers import PARSERS, good
from tests.fuzz.run import Broken, try_parser

COUNT = 60  # inputs for each parser; the nightly run has thousands
SECONDS = 2.0  # for one input, however bad: more is an attack by itself

each_parser = pytest.mark.parametrize("name", PARSERS)


@each_parser
def test_bad_input_is_a_value_or_a_refusal(name: str) -> None:
    assert not list(try_parser(name, COUNT, seed=7))


@each_parser
def test_what_is_kept_breaks_nothing_again(name: str) -> None:
    parser = PARSERS[name]
    for each in corpus(name):
        with suppress(*parser.refusals):
            parser.call(parser.kept(each))


def test_every_folder_of_the_corpus_is_of_a_parser_or_a_test() -> None:
    known = {*PARSERS, "hosts", "http"}
    assert {each.name for each in CORPUS.iterdir()} <= known


def test_the_same_seed_makes_the_same_inputs() -> None:
    for name, parser in PARSERS.items():
        once, twice = Inputs(f"1|{name}"), Inputs(f"1|{name}")
        made = [repr(parser.make(once)) for _ in range(20)]
        assert made == [repr(parser.make(twice)) for _ in range(20)]


def test_bad_records_are_bad_in_every_way() -> None:
    """The generator reaches each fault that the codec knows, and good ones, too."""
    inputs, met = Inputs("faults"), set()
    for _ in range(600):
        try:
            decode("tracking_event", inputs.wire("tracking_event", good("tracking_event")))
            met.add("")
        except WireError as error:
            met.add(error.fault.value)
    assert met == {"", *WireFault} - {WireFault.NO_VALUE}


def test_a_broken_parser_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = PARSERS["log-line"].__class__(lambda _: 1 // 0, PARSERS["log-line"].make)
    monkeypatch.setitem(PARSERS, "log-line", broken)
    found = list(try_parser("log-line", 3, seed=1))
    assert [type(each) for each in found] == [Broken] * 3
    assert "ZeroDivisionError" in str(found[0])


@pytest.mark.parametrize("name", ["log-line", "url", "user-agent", "forwarded", "body-events"])
def test_large_input_takes_no_long_time(name: str) -> None:
    """A hundred kilobytes of what regular expressions fear are read in a moment."""
    if name == "forwarded":
        inputs = [([text], [text], 1) for text in (", " * 50_000, 'for="' * 20_000, "a=;" * 30_000)]
    else:
        pieces = (b"a", b" ", b'"', b"[", b"\\", b"%25", b"../", b'{"a":', b"Mozilla/5.0 (")
        inputs = [piece * (100_000 // len(piece)) for piece in pieces]
        if name in {"url", "user-agent"}:
            inputs = [each.decode() for each in inputs]
    parser = PARSERS[name]
    for each in inputs:
        began = time.process_time()
        with suppress(*parser.refusals):
            parser.call(each)
        assert time.process_time() - began < SECONDS, repr(each[:20])


def test_the_corpus_is_small() -> None:
    sizes = [each.stat().st_size for each in Path(CORPUS).rglob("*") if each.is_file()]
    assert sum(sizes) < 500_000
    assert max(sizes) < 100_000
