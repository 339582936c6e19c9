"""Middleware around an application that no module holds."""

from __future__ import annotations

from factory import create_app
from werkzeug.middleware.proxy_fix import ProxyFix

application = ProxyFix(create_app())
