"""An application whose own tables are in the SQLite file of forktask, for its requests and its tasks."""

from __future__ import annotations

import os
from typing import Any

from flask import Flask
from served import ServedTask, connect
from sqlalchemy import create_engine, text

from forktask import LiveStatus

app = Flask(__name__)
engine = create_engine(os.environ["FORKTASK_DATABASE_URL"])
with engine.begin() as first:
    first.execute(text("CREATE TABLE IF NOT EXISTS line (writer TEXT)"))


def write(writer: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO line VALUES (:writer)"), {"writer": writer})


class SharedFileTask(ServedTask):
    """Writes while it is reported on."""

    def execute(self, status: LiveStatus) -> dict[str, Any]:
        for count in range(10):
            write("task")
            status.update(count)
        return super().execute(status)


connect(app, SharedFileTask)
app.before_request(lambda: write("request"))
