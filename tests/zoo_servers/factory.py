"""A factory; no module holds what it makes."""

from __future__ import annotations

from flask import Flask
from served import ServedTask, connect


class FactoryTask(ServedTask):
    pass


def create_app() -> Flask:
    app = Flask(__name__)
    connect(app, FactoryTask)
    return app
