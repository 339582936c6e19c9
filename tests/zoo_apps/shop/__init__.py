"""A package with a factory and no global application."""

from __future__ import annotations

from typing import Any

from flask import Flask
from zoo_report import Extension

extension = Extension()


def build(kind: str, options: dict[str, Any] | None = None) -> Flask:
    app = Flask(__name__)
    app.config.from_mapping(options or {})
    extension.init_app(app)
    app.add_url_rule(f"/{kind}", "kind", lambda: kind)
    return app


def create_app(kind: str = "plain", *, extra: bool = False, options: dict[str, Any] | None = None) -> Flask:
    app = build(kind, options)
    from shop import tasks

    tasks.register(app)
    if extra:
        app.add_url_rule("/extra", "extra", lambda: "")
    return app


def create_shop() -> Flask:
    return create_app("tail", extra=True)
