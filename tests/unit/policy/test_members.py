"""Who becomes a member of which audience, and which page is which conversion."""

import pytest

from privacy.policy import Audience, Controller, Conversion, Covers, Policy, Provider, matches
from streams.policy import parse


@pytest.fixture
def policy() -> Policy:
    return Policy(
        version="1",
        controller=Controller(name="Example Trading", contact="privacy@www.example"),
        audiences={
            "buyers": Audience(sites=("shop.example",), pages=("/thanks*",), events=("buy",)),
            "readers": Audience(sites=("shop.example", "www.example"), pages=("/*/tea", "/")),
            "callers": Audience(sites=("www.example",), events=("call.made",)),
        },
    )


@pytest.mark.parametrize(
    ("site", "path", "name", "audiences"),
    [
        ("shop.example", "/thanks/you", None, ("buyers",)),
        ("shop.example", "/thanks", "buy", ("buyers",)),
        ("shop.example", "/blends/tea", "buy", ("buyers", "readers")),
        ("shop.example", None, "buy", ("buyers",)),
        ("shop.example", "/", "call.made", ("readers",)),
        ("www.example", "/thanks", "buy", ()),
        ("www.example", "/tea", "call.made", ("callers",)),
        ("www.example", "/Blends/Tea", None, ()),
        ("www.example", "/blends/tea/", None, ()),
        ("www.example", None, None, ()),
        ("other.example", "/", "buy", ()),
    ],
)
def test_site_and_any_rule_make_a_member(
    policy: Policy, site: str, path: str | None, name: str | None, audiences: tuple[str, ...]
) -> None:
    assert policy.audiences_of(site, path, name) == audiences


def test_the_first_conversion_that_matches_counts() -> None:
    provider = Provider(
        purpose="ads",
        sites=("shop.example",),
        conversions=(
            Conversion(page="/thanks", id="ordered"),
            Conversion(page="/thanks*", id="asked"),
        ),
    )
    assert provider.conversion_of("/thanks") == "ordered"
    assert provider.conversion_of("/thanks/sample") == "asked"
    assert provider.conversion_of("/tea") is None


def test_a_star_is_anything_and_nothing_else_is_special() -> None:
    assert matches("/a/b/c", ("/x", "/a*c"))
    assert matches("/tea", ("/tea*",))
    assert not matches("/a.b", ("/a.",))
    assert not matches("/tea", ())


def test_holders_are_those_that_hold_the_service(text: str) -> None:
    policy = parse(text, "p.toml")
    assert policy.holders_of("sample") == ("crm",)
    assert policy.holders_of("news") == ()


def test_the_address_of_a_case_is_in_the_field_of_that_kind(text: str) -> None:
    services = parse(text, "p.toml").services
    assert (services["sample"].email, services["visit"].email) == ("email", None)


def test_purposes_are_found_by_what_they_cover(text: str) -> None:
    policy = parse(text, "p.toml")
    assert list(policy.covering(Covers.ADS)) == ["ads"]
    assert list(policy.covering(Covers.LOCATION)) == []
