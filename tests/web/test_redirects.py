"""A person is sent to this site or to an allowed one, and nowhere else."""

from __future__ import annotations

import pytest
from flask import Flask

from forktask import ForkTaskError
from forktask.web import UnsafeRedirectError
from forktask.web.redirects import checked_url, send_to, way_back

SAME = [
    "/",
    "/thanks",
    "/thanks?order=7&next=http://evil.example#end",
    "/a@b",
    "/thanks/%2F%2Fevil.example",
    "/danke/für/alles",
    "https://shop.example/thanks",
    "https://shop.example:443/thanks",
    "HTTPS://SHOP.example/thanks",
    "https://shop.example",
]
ELSEWHERE = [
    "",
    "thanks",
    "?x=1",
    "//evil.example",
    "///evil.example",
    "////evil.example",
    r"\\evil.example",
    r"/\evil.example",
    r"\/evil.example",
    r"/\/evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r/evil.example",
    " //evil.example",
    "\x00//evil.example",
    "\u00a0//evil.example",
    "\ufeff//evil.example",
    "/thanks\r\nSet-Cookie: a=b",
    "javascript:alert(1)",
    "JavaScript:alert(1)",
    "java\nscript:alert(1)",
    "data:text/html,x",
    "vbscript:x",
    "file:///etc/passwd",
    "mailto:a@evil.example",
    "ftp://shop.example/",
    "http://shop.example/",
    "https:evil.example",
    "https:/evil.example",
    "https:///evil.example",
    "https:shop.example",
    "https:///shop.example/",
    "https://evil.example",
    "https://shop.example.evil.example",
    "https://evil.example/shop.example",
    "https://shop.example@evil.example",
    "https://shop.example:443@evil.example",
    "https://user@shop.example/",
    "https://shop.example:8443/",
    "https://shop.example:x/",
    "https://shop.example:99999999/",
    r"https://evil.example\@shop.example",
    "https://evil.example#@shop.example",
    "https://evil.example?@shop.example",
    "https://shop\u3002example/",
    "https://ſhop.example/",
    "https://[::1/",
    "https://",
]


@pytest.fixture(autouse=True)
def _request(bare: Flask) -> object:
    with bare.test_request_context("/pay", base_url="https://shop.example") as context:
        yield context


@pytest.mark.parametrize("url", SAME)
def test_an_address_of_this_site_is_taken_as_it_is(url: str) -> None:
    assert checked_url("next_url", url) == url


@pytest.mark.parametrize("url", ELSEWHERE)
def test_an_address_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(UnsafeRedirectError, match="next_url is"):
        checked_url("next_url", url)


def test_what_is_no_text_is_refused() -> None:
    for url in (None, b"/thanks", 7):
        with pytest.raises(UnsafeRedirectError):
            checked_url("next_url", url)


def test_an_allowed_site_is_taken_with_its_scheme_and_port_only() -> None:
    allowed = ["https://bank.example", "http://localhost:5000/whatever"]
    for url in ("https://bank.example/back", "http://localhost:5000/"):
        assert checked_url("next_url", url, allowed) == url
    for url in ("http://bank.example/", "https://bank.example:444/", "https://www.bank.example/", "http://localhost/"):
        with pytest.raises(UnsafeRedirectError):
            checked_url("next_url", url, allowed)


def test_an_allowed_site_that_is_no_address_allows_nothing() -> None:
    for allowed in ("", "bank.example", "//bank.example", "*", "javascript:"):
        with pytest.raises(UnsafeRedirectError):
            checked_url("next_url", "https://bank.example/", [allowed])


def test_the_error_is_of_forktask_and_a_bad_request_and_says_what_to_do() -> None:
    with pytest.raises(ForkTaskError, match="must be a path that begins with one slash") as caught:
        checked_url("next_url", "//evil.example")
    assert isinstance(caught.value, UnsafeRedirectError)
    assert (caught.value.code, caught.value.argument, caught.value.url) == (400, "next_url", "//evil.example")


def test_the_answer_is_303_or_for_htmx_its_header(bare: Flask) -> None:
    plain = send_to("/thanks")
    assert (plain.status_code, plain.headers["Location"], plain.headers["Cache-Control"]) == (
        303,
        "/thanks",
        "no-store",
    )
    with bare.test_request_context("/pay", headers={"HX-Request": "true", "HX-Boosted": "true"}):
        answer = send_to("/thanks")
    assert (answer.status_code, answer.headers["HX-Redirect"], answer.data) == (200, "/thanks", b"")
    assert "Location" not in answer.headers


@pytest.mark.parametrize(
    ("referrer", "back"),
    [
        (None, "/shop/"),
        ("https://shop.example/shop/pay?x=1", "https://shop.example/shop/pay?x=1"),
        ("https://evil.example/", "/shop/"),
        ("javascript:alert(1)", "/shop/"),
    ],
)
def test_the_way_back_is_the_page_from_which_one_came(bare: Flask, referrer: str | None, back: str) -> None:
    headers = {} if referrer is None else {"Referer": referrer}
    with bare.test_request_context("/pay", base_url="https://shop.example/shop/", headers=headers):
        assert way_back() == back
