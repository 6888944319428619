"""Which page may send for which site."""

from typing import Any

import pytest

SHOP, BLOG, FOREIGN = "https://shop.example", "https://blog.example", "https://evil.example"
EVENT = {"type": "page_view"}


@pytest.mark.parametrize(
    ("origin", "key", "status"),
    [
        (SHOP, "shop-key", 202),
        ("https://m.shop.example", "shop-key", 202),
        (BLOG, "blog-key", 202),
        (None, "shop-key", 202),
        (BLOG, "shop-key", 403),
        (SHOP, "blog-key", 403),
        (SHOP, "no-key", 401),
        *(
            (origin, "shop-key", 403)
            for origin in (
                *(FOREIGN, "null", "", "*", "http://shop.example", "https://shop.example:8443"),
                *("https://shop.example/", "https://x.shop.example", "https://shop.example.evil"),
                *("HTTPS://SHOP.EXAMPLE", "https://shop.example, https://shop.example"),
            )
        ),
        (FOREIGN, "no-key", 403),
    ],
)
async def test_a_page_may_send_for_its_own_site_only(
    entrance: Any, origin: str | None, key: str, status: int
) -> None:
    response = await entrance.send(EVENT, key=key, Origin=origin)
    assert response.status == status
    assert len(entrance.events) == (status == 202)
    readable = response.headers.get("Access-Control-Allow-Origin")
    assert readable == (None if status == 403 else origin)
    assert response.headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Credentials" not in response.headers


async def test_two_origins_are_one_that_nobody_allows(entrance: Any) -> None:
    headers = [("Origin", SHOP), ("Origin", SHOP), ("X-Lethe-Key", "shop-key")]
    response = await entrance.client.post("/v1/events", json=EVENT, headers=headers)
    assert response.status == 403


async def test_a_page_can_read_why_it_was_refused(entrance: Any) -> None:
    response = await entrance.send({"type": "nothing"}, Origin=SHOP)
    assert response.status == 422
    assert response.headers["Access-Control-Allow-Origin"] == SHOP
    assert response.headers["Access-Control-Expose-Headers"] == "Retry-After"


@pytest.mark.parametrize(
    ("origin", "query", "status"),
    [
        (SHOP, "", 204),
        (BLOG, "", 204),
        (SHOP, "?key=shop-key", 204),
        (None, "", 204),
        (BLOG, "?key=shop-key", 403),
        (SHOP, "?key=no-key", 401),
        (FOREIGN, "", 403),
        (FOREIGN, "?key=shop-key", 403),
        ("null", "", 403),
    ],
)
async def test_a_preflight_passes_for_the_origins_of_the_key_or_of_any_site(
    entrance: Any, origin: str | None, query: str, status: int
) -> None:
    headers = {"Access-Control-Request-Method": "POST"} | ({"Origin": origin} if origin else {})
    response = await entrance.client.options(f"/v1/events{query}", headers=headers)
    assert response.status == status
    allowed = origin if status == 204 else None
    assert response.headers.get("Access-Control-Allow-Origin") == allowed
    assert response.headers.get("Access-Control-Allow-Methods") == ("POST" if allowed else None)
    assert response.headers["Vary"] == "Origin"
    if allowed:
        assert "X-Lethe-Key" in response.headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/metrics", "/openapi.json"])
async def test_nothing_else_is_readable_for_other_pages(entrance: Any, path: str) -> None:
    response = await entrance.client.get(path, headers={"Origin": SHOP})
    assert "Access-Control-Allow-Origin" not in response.headers
