"""Short tasks that leave a line in a file when they begin, and one when they end."""

from __future__ import annotations

import os
import select

from flask import Flask
from served import connect

from forktask import LiveStatus, Task

app = Flask(__name__)


class StreamTask(Task):
    def execute(self, status: LiveStatus) -> None:
        note(f"began {status.id}")
        select.select((), (), (), 0.2)
        note(f"ended {status.id}")


def note(line: str) -> None:
    file = os.open("lines", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, f"{line}\n".encode())
    os.close(file)


connect(app, StreamTask)
