"""An application that starts a thread when it is imported, in the supervisor too."""

from __future__ import annotations

import threading

from flask import Flask
from served import ServedTask, connect

app = Flask(__name__)


class ThreadedTask(ServedTask):
    pass


connect(app, ThreadedTask)
threading.Thread(target=threading.Event().wait, name="agent", daemon=True).start()
