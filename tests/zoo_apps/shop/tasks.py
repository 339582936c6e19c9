from __future__ import annotations

from flask import Flask
from zoo_report import task


@task
def shop_task() -> None: ...


def register(app: Flask) -> None:
    app.add_url_rule("/tasks", "tasks", lambda: "")
