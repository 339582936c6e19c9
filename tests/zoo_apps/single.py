"""One file, as in a tutorial."""

from __future__ import annotations

from flask import Flask
from zoo_report import Extension, report, task

app = Flask(__name__)
Extension(app)


@task
def single_task() -> None: ...


@app.get("/single")
def single() -> str:
    return ""


if __name__ == "__main__":
    print(report(app))
