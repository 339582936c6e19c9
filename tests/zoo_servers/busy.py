"""An application for gevent in which a greenlet keeps the process busy just while the supervisor is started."""

from __future__ import annotations

import os
from typing import Any

import gevent
from flask import Flask, jsonify
from served import ServedTask, connect

app = Flask(__name__)


class BusyTask(ServedTask):
    pass


connect(app, BusyTask)


def keep_busy() -> None:
    """Let no other greenlet run until the file is there."""
    while not os.path.exists("rest"):
        pass


@app.get("/start-busily")
def start_busily() -> Any:
    gevent.spawn(keep_busy)
    return jsonify(id=str(BusyTask.initiate().id))
