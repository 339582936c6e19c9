"""A factory whose argument cannot be written down."""

from __future__ import annotations

from flask import Flask
from zoo_report import Extension, report


class Config:
    TESTING = True


def create_app(config: type[object] = object) -> Flask:
    app = Flask(__name__)
    app.config.from_object(config)
    Extension(app)
    return app


if __name__ == "__main__":
    print(report(create_app(Config)))
