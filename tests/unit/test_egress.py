"""Nothing is sent to hosts that nobody named, nor to private networks, however they are written."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from lethe.standins.desk import Desk
from lethe.standins.server import serving
from sinks.ads.contract import Request
from streams.delivery.connectors import _URLS, egress
from streams.delivery.http import Attempt, LostError, boottime, connect
from streams.egress import Egress, ForbiddenError, is_public, kind
from streams.rights.sending import LostError as NotSentError
from streams.rights.sending import Parcel, send
from streams.settings import Ads, Settings, SettingsError, load

PUBLIC = ["8.8.8.8", "1.1.1.1", "2001:4860:4860::8888", "2606:4700::1111", "64:ff9b::808:808"]
CORPUS = Path(__file__).parents[1] / "fuzz/corpus/hosts"
# Addresses of no public host; the same spelt in other ways; and ways to write this machine without
# the literal of its loopback address.
PRIVATE, SPELT, HERE = (
    (CORPUS / f"{name}.txt").read_text().split() for name in ("private", "spelt", "here")
)


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_is_public(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize("text", PRIVATE)
def test_a_private_address_is_not(text: str) -> None:
    assert not is_public(ip_address(text))
    written = f"[{text}]" if ":" in text else text
    here = ip_address(text).is_loopback
    with pytest.raises(ForbiddenError, match="ForeignHost"):
        Egress(frozenset({"api.example"})).require(f"https://{written}/")
    if not here:
        with pytest.raises(ForbiddenError, match="PrivateAddress"):
            Egress.to([f"https://{written}/"]).require(f"https://{written}/")


@pytest.mark.parametrize("host", SPELT)
def test_another_spelling_of_a_private_address_is_none_to_send_to(host: str) -> None:
    """Client and checker read it alike: a policy's own host is not what it seems."""
    parcel = Parcel(f"https://{host}:9/", "r", "application/json", b"{}", "token")
    with pytest.raises(NotSentError, match=r"PrivateAddress|NoAddress"):
        send(parcel, ssl.create_default_context())


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://api.example/v1", None),
        ("https://API.example:8443/v1?x#y", None),
        ("https://127.0.0.1:1/", None),
        ("http://127.0.0.1:1/", None),
        ("http://api.example/v1", "InTheClear"),
        ("https://api.example.evil.example/", "ForeignHost"),
        ("https://evil.example/api.example", "ForeignHost"),
        ("https://api.example./", "ForeignHost"),
        ("https://sub.api.example/", "ForeignHost"),
        ("https://evil.example#@api.example/", "ForeignHost"),
        ("https://evil.example\\@api.example/", "NoAddress"),
        ("https://evil.example?@api.example/", "ForeignHost"),
        ("https://api.example@evil.example/", "NoAddress"),
        ("https://user:word@api.example/", "NoAddress"),
        ("https://@api.example/", None),
        ("https:///api.example", "NoAddress"),
        ("https://", "NoAddress"),
        ("https://api.example:0/", "NoAddress"),
        ("https://api.example:99999/", "NoAddress"),
        ("https://[::1/", "NoAddress"),
        ("https://api.example\0.evil.example/", "NoAddress"),
        ("//api.example/", "NoAddress"),
        ("/v1", "NoAddress"),
        ("", "NoAddress"),
        ("file:///etc/passwd", "NoAddress"),
        ("ftp://api.example/", "InTheClear"),
        ("gopher://api.example:70/", "InTheClear"),
        ("data:text/plain,x", "NoAddress"),
    ],
)
def test_only_named_hosts_over_tls_or_this_machine(url: str, why: str | None) -> None:
    allowed = Egress(frozenset({"api.example", "127.0.0.1"}), clear=True)
    if why is None:
        assert allowed.require(url).host in allowed.hosts
        return
    with pytest.raises(ForbiddenError, match=f"^{why}$"):
        allowed.require(url)


@pytest.fixture
def ear() -> Iterator[tuple[int, list[None]]]:
    """Listen on this machine's addresses; who connects is noted."""
    came: list[None] = []
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:

        def listen() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                came.append(None)
                connection.close()

        thread = threading.Thread(target=listen)
        thread.start()
        yield server.getsockname()[1], came
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize("host", HERE)
def test_nothing_reaches_this_machine_by_another_spelling(
    ear: tuple[int, list[None]], host: str
) -> None:
    port, came = ear
    parcel = Parcel(f"https://{host}:{port}/", "r", "application/json", b"{}", "token")
    with pytest.raises(NotSentError):
        send(parcel, ssl.create_default_context())
    assert not came


class Names(aiohttp.abc.AbstractResolver):
    """Names that lead to other addresses each time they are asked for."""

    def __init__(self, answers: Sequence[Sequence[str]]) -> None:
        self.answers, self.asked = list(answers), 0

    async def resolve(self, host: str, port: int = 0, *_: Any, **__: Any) -> Any:
        found = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [
            {
                "hostname": host,
                "host": each,
                "port": port,
                "family": socket.AF_INET6 if ":" in each else socket.AF_INET,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
            for each in found
        ]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "answers",
    [
        [["127.0.0.1"]],
        [["::1"]],
        [["::ffff:127.0.0.1"]],
        [["127.0.0.1", "::1"]],
        [["10.0.0.1", "127.0.0.1"]],
        [["fe80::1%1"]],
    ],
)
async def test_a_name_leads_nowhere_private_whatever_it_resolves_to(
    ear: tuple[int, list[None]], answers: Sequence[Sequence[str]]
) -> None:
    """Resolved once and checked as the socket is made: there is nothing to swap in between."""
    port, came = ear
    names = Names(answers)
    connector = Egress(frozenset({"api.example"})).connector(resolver=names)
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(aiohttp.ClientConnectorError) as refused:
            await session.get(f"http://api.example:{port}/")
    assert kind(refused.value) == "PrivateAddress" or len(answers[0]) > 1
    assert (came, names.asked) == ([], 1)


@pytest.mark.parametrize("answers", [["127.0.0.1"], ["::1"], ["127.0.0.1", "::1"]])
async def test_a_name_leads_nowhere_private_beside_this_machine_s_own_address(
    ear: tuple[int, list[None]], answers: Sequence[str]
) -> None:
    """Each request by its own host: trying one address out does not open this machine to others."""
    port, came = ear
    mixed = Egress(frozenset({"127.0.0.1", "api.example"}), clear=True)
    connector = mixed.connector(resolver=Names([answers]))
    async with aiohttp.ClientSession(connector=connector) as session:
        here, there = await asyncio.gather(
            session.post(f"http://127.0.0.1:{port}/"),
            session.post(f"http://api.example:{port}/"),
            return_exceptions=True,
        )
    assert isinstance(here, aiohttp.ClientError)
    assert not isinstance(here, aiohttp.ClientConnectorError)  # connected, and hung up on
    assert isinstance(there, aiohttp.ClientConnectorError)
    assert kind(there) == "PrivateAddress" or len(answers) > 1
    assert len(came) == 1


def request(url: str) -> Attempt:
    return Attempt(Request("GET", url, b""), boottime() + 10)


async def test_delivery_sends_to_named_hosts_alone_and_follows_nobody(
    ear: tuple[int, list[None]],
) -> None:
    port, came = ear
    async with (
        serving(Desk(), "127.0.0.1", 0) as url,
        connect(4, Egress.to([url], clear=True)) as http,
    ):
        assert (await http.send(request(f"{url}/meta/none"))).status >= 400
        for elsewhere in (f"http://127.0.0.2:{port}/", f"https://api.example:{port}/"):
            attempt = request(elsewhere)
            with pytest.raises(LostError, match="ForeignHost"):
                await http.send(attempt)
            assert attempt.settled.is_set()
            assert not attempt.begun
    assert not came


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer(ear: tuple[int, list[None]], status: int) -> None:
    port, came = ear

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        location = f"Location: http://127.0.0.1:{port}/\r\nContent-Length: 0\r\n\r\n"
        writer.write(f"HTTP/1.1 {status} Go\r\n{location}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(redirect, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server, connect(1, Egress.to([url], clear=True)) as http:
        assert (await http.send(request(url))).status == status
    assert not came


async def test_an_answer_in_pieces_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A verdict read from half an answer would be another verdict."""
    pieces = [b'{"events_', b"received", b'": 1}']
    read, was_read = aiohttp.StreamReader.read, asyncio.Event()

    async def told(reader: aiohttp.StreamReader, most: int = -1) -> bytes:
        found = await read(reader, most)
        was_read.set()
        return found

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        length = sum(map(len, pieces))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
        for piece in pieces:
            was_read.clear()
            writer.write(piece)
            await was_read.wait()
        writer.close()

    monkeypatch.setattr(aiohttp.StreamReader, "read", told)
    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server, connect(1, Egress.to([url], clear=True)) as http:
        assert (await http.send(request(url))).body == b"".join(pieces)


@pytest.fixture
def with_ads(tmp_path: Path) -> Any:
    def make(**ads: Any) -> Settings:
        return load(engines=False, data_dir=tmp_path, ads=Ads(**ads))

    return make


def test_a_connector_may_send_to_its_provider_alone(with_ads: Any) -> None:
    for name in ("ga4", "google-ads", "linkedin", "meta", "x"):
        allowed = egress(name, with_ads())
        assert allowed.hosts
        with pytest.raises(ForbiddenError):
            allowed.require("https://api.example/")
    defaults = {"ga4": "https://www.google-analytics.com", "meta": "https://graph.facebook.com"}
    for name, url in defaults.items():
        assert egress(name, with_ads()).require(url)


@pytest.mark.parametrize("setting", sorted(_URLS))
@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://graph.facebok.example", "not the provider's"),
        ("http://www.google-analytics.com", "must be https://"),
        ("https://10.0.0.1", "not the provider's"),
        ("google", "no address"),
        ("https://me@www.google-analytics.com", "no address"),
    ],
)
def test_a_setting_that_leads_elsewhere_is_refused_by_name(
    with_ads: Any, setting: str, url: str, why: str
) -> None:
    with pytest.raises(SettingsError, match=rf"^ads\.ga4\.{setting}: .*{why}"):
        egress("ga4", with_ads(ga4={setting: url}))


def test_other_hosts_are_named_twice_and_never_private(with_ads: Any) -> None:
    tags = "https://tags.shop.example/g"
    allowed = egress("ga4", with_ads(other_hosts=["tags.shop.example"], ga4={"base_url": tags}))
    assert allowed.require(tags)
    with pytest.raises(SettingsError, match="private network"):
        egress("ga4", with_ads(other_hosts=["10.0.0.1"], ga4={"base_url": "https://10.0.0.1"}))
    assert egress("meta", with_ads(meta={"base_url": "http://127.0.0.1:9"})).require(
        "http://127.0.0.1:9/v"
    )
    with pytest.raises(ForbiddenError):
        egress("meta", with_ads()).require("http://127.0.0.1:9/v")
