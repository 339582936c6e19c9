"""A factory that returns middleware."""

from __future__ import annotations

from shop import create_app
from werkzeug.middleware.proxy_fix import ProxyFix


def make_wsgi() -> ProxyFix:
    app = create_app("wrapped")
    return ProxyFix(app)
