"""A factory that keeps what it made in a global."""

from __future__ import annotations

from flask import Flask
from zoo_report import Extension

app: Flask | None = None


def create_app() -> Flask:
    global app
    app = Flask(__name__)
    Extension(app)
    return app
