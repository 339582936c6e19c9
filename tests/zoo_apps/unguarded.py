"""A script that serves when it is imported."""

from __future__ import annotations

from flask import Flask
from zoo_report import Extension, task

app = Flask(__name__)
Extension(app)


@task
def unguarded_task() -> None: ...


@app.get("/unguarded")
def unguarded() -> str:
    return ""


app.run(port=0)
