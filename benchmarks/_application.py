"""The application whose tasks are measured: Flask, as a user would write it."""

from __future__ import annotations

import subprocess
import time

from _clock import tell
from flask import Flask

from forktask import LiveStatus, task
from forktask.web import ForkTask

app = Flask(__name__)
app.secret_key = "only to be measured"
ForkTask(app)


@task
def first_line(status: LiveStatus) -> None:
    """Tell the clock of the first line."""
    tell(status.settings["address"])


@task
def nothing(status: LiveStatus) -> None:
    """Do nothing at all."""


@task
def sleeper(status: LiveStatus) -> None:
    """Report once, then sleep until it is cancelled or killed."""
    while True:
        status.update(50, "asleep")
        time.sleep(1)


@task
def parent(status: LiveStatus) -> None:
    """Start a program that would stay, then sleep."""
    child = subprocess.Popen(["sleep", "600"])
    status.update(50, str(child.pid))
    time.sleep(600)
