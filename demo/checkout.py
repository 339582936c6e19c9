"""The demo's three steps of a payment: details, please wait, thanks."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import UUID

from flask import Blueprint, current_app, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from demo.parts import work
from forktask import LiveStatus, State, StatusNotFoundError, Task, TaskError, TaskStatus
from forktask.web import ForkTask, full_focus

STEPS = {"at once": 1, "slowly": 120, "no": 60}
"""How the bank of the demo may answer, and how much work that is."""

checkout = Blueprint("checkout", __name__, url_prefix="/checkout")
forktask = ForkTask()


class PaymentTask(Task):
    """Ask the bank for the money."""

    title = "Payment"
    timeout = 60

    def execute(self, status: LiveStatus) -> dict[str, object]:
        answer = status.settings["answer"]
        for step in status.track(range(STEPS[answer]), message="Asking your bank"):
            work()
            if answer == "no" and step == STEPS[answer] // 2:
                raise TaskError("Your bank declined the payment. Nothing was charged.")
        return {"amount": status.settings["amount"]}


@forktask.on_complete
def paid(status: TaskStatus) -> str:
    """Write the receipt, once however many tabs wait, and go on to the last step."""
    with closing(sqlite3.connect(Path(current_app.instance_path, "demo.sqlite"))) as database, database:
        database.execute("CREATE TABLE IF NOT EXISTS receipt (payment TEXT)")
        database.execute("INSERT INTO receipt VALUES (?)", (str(status.id),))
    return url_for("checkout.thanks")


@checkout.get("/")
def details() -> str:
    return render_template("checkout.html", answers=list(STEPS))


@checkout.post("/")
def pay() -> Response:
    answer = request.form.get("answer", "at once")
    amount = request.form.get("amount", "")
    status = PaymentTask.initiate({"amount": amount[:20], "answer": answer if answer in STEPS else "at once"})
    session["payment"] = str(status.id)
    return full_focus(
        status,
        next_url=url_for("checkout.thanks"),
        acceptable_wait=1.0,
        template="checkout_wait.html",
        on_complete=paid,
        back_url=url_for("checkout.details"),
        leave_url=url_for("index"),
    )


@checkout.get("/thanks")
def thanks() -> str | Response:
    try:
        status = TaskStatus.get(UUID(session["payment"]))
    except (KeyError, StatusNotFoundError):
        return redirect(url_for("checkout.details"))
    if status.state is not State.COMPLETED:
        return redirect(url_for("checkout.details"))
    with closing(sqlite3.connect(Path(current_app.instance_path, "demo.sqlite"))) as database:
        receipts = database.execute("SELECT count(*) FROM receipt WHERE payment = ?", (str(status.id),)).fetchone()[0]
    return render_template("checkout_thanks.html", status=status, receipts=receipts)
