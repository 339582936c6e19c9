"""A factory whose source does not show that it returns the application."""

from __future__ import annotations

from flask import Flask
from zoo_report import Extension, report


class Config:
    TESTING = True


def finished(app: Flask) -> Flask:
    return app


def create_app(config: type[object] = object) -> Flask:
    app = Flask(__name__)
    app.config.from_object(config)
    Extension(app)
    return finished(app)


if __name__ == "__main__":
    print(report(create_app(Config)))
