"""Requests that change something and that another site made a browser send: refused."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from flask import current_app, request
from werkzeug.exceptions import Forbidden

REFUSED = "This request came from another site."


def refuse_cross_site() -> None:
    """End the request if another site may have sent it.

    Where the application uses Flask-WTF its token decides. Else `Sec-Fetch-Site`, which browsers send to secure
    origins, else `Origin`, which they send with every POST. A request with neither is no browser's, and carries no
    cookies that somebody else could have made it send (the rule of Go's `net/http.CrossOriginProtection`).

    Raises:
        Forbidden: It is not from our own origin.
        CSRFError: Of Flask-WTF, which is a Bad Request.
    """
    if (protection := _flask_wtf()) is not None:
        protection.protect()
        return
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        if site not in ("same-origin", "none"):
            raise Forbidden(REFUSED)
        return
    origin = request.headers.get("Origin")
    # The host alone: the scheme that a proxy took off is not known here.
    if origin is not None and urlsplit(origin).netloc != request.host:
        raise Forbidden(REFUSED)


def csrf_field() -> tuple[str, str] | None:
    """Return name and value of the field that a form has to carry; None where the application has no Flask-WTF."""
    if _flask_wtf() is None:
        return None
    generate: Any = current_app.jinja_env.globals["csrf_token"]  # set by Flask-WTF's CSRFProtect.init_app
    return str(current_app.config["WTF_CSRF_FIELD_NAME"]), str(generate())


def _flask_wtf() -> Any:
    return current_app.extensions.get("csrf") if current_app.config.get("WTF_CSRF_ENABLED") else None
