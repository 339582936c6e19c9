"""An application that has the kernel reap all children, in the supervisor too."""

from __future__ import annotations

import signal

from flask import Flask
from served import ServedTask, connect

app = Flask(__name__)


class ChildlessTask(ServedTask):
    pass


connect(app, ChildlessTask)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
