"""What need not be done at once: letters that wait in a queue, and a task that comes back by itself."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from demo.parts import work
from forktask import LiveStatus, StatusNotFoundError, Task, TaskStatus, task
from forktask.limit import Limit

DELAYS = {"now": None, "in 15 seconds": "+15 seconds", "in 2 minutes": "+2 minutes"}
PRIORITIES = {"normal": 50, "first": 90, "last": 10}
MOST = 20

later = Blueprint("later", __name__, url_prefix="/queue")


class LetterTask(Task):
    """Print a letter, slowly."""

    title = "Letter"
    limit = Limit(running=1)

    def execute(self, status: LiveStatus) -> None:
        for _ in status.track(range(40), message=f"Printing letter {status.settings['number']}", unit="lines"):
            work()


@task(title="Paper check")
def check_paper(status: LiveStatus) -> None:
    """Look whether there is paper; by itself, every two minutes."""
    for _ in status.track(range(20), message="Counting the sheets"):
        work()


check_paper.using(public=True).every("2 minutes", name="paper")


@later.get("/")
def queue() -> str:
    return render_template(
        "queue.html",
        letters=ordered(),
        last_check=TaskStatus.find_last(task=check_paper),
        delays=DELAYS,
        priorities=PRIORITIES,
    )


@later.post("/")
def order() -> Response:
    delay = DELAYS.get(request.form.get("delay", ""))
    priority = PRIORITIES.get(request.form.get("priority", ""), 50)
    number = 6 if request.form.get("number") == "6" else 1
    letters = LetterTask.using(queue="printer", run_after=delay, priority=priority, title=title(priority))
    new = letters.enqueue_many([{"number": one} for one in range(1, number + 1)])
    session["letters"] = ([letter.id.hex for letter in new] + session.get("letters", []))[:MOST]
    return redirect(url_for("later.queue"))


def title(priority: int) -> str:
    return {90: "Letter, first", 10: "Letter, last"}.get(priority, "Letter")


def ordered() -> list[TaskStatus]:
    """Return the letters that this browser ordered, the newest first."""
    found = []
    for key in session.get("letters", []):
        try:
            found.append(TaskStatus.get(UUID(key)))
        except StatusNotFoundError:
            continue
    return found
