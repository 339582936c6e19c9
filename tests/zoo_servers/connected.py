"""An application that has connections open when it is imported: its own, and one of forktask."""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask
from served import ServedTask, connect
from sqlalchemy import create_engine, text

from forktask import TaskStatus, in_supervisor

app = Flask(__name__)
engine = create_engine(os.environ["FORKTASK_DATABASE_URL"])
own = engine.connect()


class ConnectedTask(ServedTask):
    pass


connect(app, ConnectedTask)
with app.app_context():
    TaskStatus.find()
if not in_supervisor():
    with Path("ports").open("a") as ports:
        print(own.scalar(text("SELECT inet_client_port()")), file=ports)
