"""A task that is started without another page: the answer is a small bar, for htmx, or an address, for a script."""

from __future__ import annotations

from flask import Blueprint
from markupsafe import Markup

from demo.parts import work
from forktask import LiveStatus, Task
from forktask.web import progress, status_url

quick = Blueprint("quick", __name__)


class ChecksumTask(Task):
    """Add something up."""

    title = "Checksum"

    def execute(self, status: LiveStatus) -> None:
        for _ in status.track(range(150), unit="blocks"):
            work()


@quick.post("/checksum")
def start() -> Markup:
    return progress(ChecksumTask.initiate(), compact=True)


@quick.post("/checksum/by-script")
def start_by_script() -> tuple[dict[str, str], int]:
    return {"url": status_url(ChecksumTask.initiate())}, 202
