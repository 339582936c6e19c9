"""Where a person may be sent: to this site, or where the application says so by name."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from flask import Response, request
from werkzeug.exceptions import BadRequest
from werkzeug.urls import iri_to_uri

from forktask import ForkTaskError

DEFAULT_PORTS = {"http": 80, "https": 443}
# Browsers drop some of these inside a URL, read a backslash as a slash, and so see another address than we do.
DANGEROUS = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029\ufeff]")


class UnsafeRedirectError(ForkTaskError, BadRequest):
    """A page was told to send the person to another site; answered with 400 where nobody catches it.

    Attributes:
        argument: What said so.
        url: The address.
    """

    def __init__(self, name: str, url: object) -> None:
        self.argument = name
        self.url = url
        BadRequest.__init__(
            self,
            f"{name} is {str(url)[:200]!r}; it must be a path that begins with one slash, or an address of this site "
            "or of one of allowed_origins",
        )

    def __str__(self) -> str:
        return str(self.description)


def checked_url(name: str, url: object, allowed_origins: Collection[str] = ()) -> str:
    """Return `url` if it stays on this site or leads to an allowed one.

    Args:
        name: What to call it in the error.
        allowed_origins: For example `https://shop.example`.

    Raises:
        UnsafeRedirectError: It does not.
    """
    if not url or not isinstance(url, str) or DANGEROUS.search(url):
        raise UnsafeRedirectError(name, url)
    if url.startswith("/") and not url.startswith("//"):
        return url
    here = _origin(request.host_url)
    allowed = {origin for text in allowed_origins if (origin := _origin(text)) is not None}
    if here is not None:
        allowed.add(here)
    if _origin(url) not in allowed:
        raise UnsafeRedirectError(name, url)
    return url


def send_to(url: str) -> Response:
    """Return a redirect to a page: 303, or for htmx the header by which it leaves the present page."""
    if request.headers.get("HX-Request") == "true":
        response = Response(status=200)
        response.headers["HX-Redirect"] = iri_to_uri(url)  # headers are ASCII
    else:
        response = Response(status=303)
        response.headers["Location"] = url
    response.headers["Cache-Control"] = "no-store"
    response.vary.add("HX-Request")
    return response


def way_back() -> str:
    """Return the page from which the present request came, if that is of this site, else the front page."""
    front = request.script_root + "/"
    referrer = request.referrer
    if not referrer:
        return front
    try:
        return checked_url("the referrer", referrer)
    except UnsafeRedirectError:
        return front


def _origin(url: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port (RFC 6454); None where there is anything doubtful."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc or not parts.netloc.isascii():
        return None
    if not url.lower().startswith(f"{parts.scheme}://"):
        return None
    return parts.scheme, parts.hostname, DEFAULT_PORTS[parts.scheme] if port is None else port
