"""An application as the first page of Flask's documentation has it."""

from __future__ import annotations

import os
import select

from flask import Flask
from served import ServedTask, connect

from forktask import in_supervisor

app = Flask(__name__)


class OwnTask(ServedTask):
    code = "old"


connect(app, OwnTask)

while in_supervisor() and os.path.exists("slow") and not os.path.exists("imported"):
    select.select((), (), (), 0.02)

if __name__ == "__main__":
    app.run(port=0)
