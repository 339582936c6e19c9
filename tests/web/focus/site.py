"""An application with one step that waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from flask import Flask, Response, request

from forktask import LiveStatus, State, Task, TaskError, TaskStatus
from forktask.store import Store
from forktask.web import ForkTask, full_focus
from tests.web.rows import keep

HTMX = {"HX-Request": "true"}


class Pay(Task):
    """Pay, or fail if told so."""

    def execute(self, status: LiveStatus) -> str:
        if status.settings["fails"]:
            raise TaskError("The bank said no.")
        return "paid"


class Site:
    """An application with one step, and what it was asked.

    Attributes:
        work: What its completion hook does.
        answer: What that then returns or raises.
    """

    def __init__(self, app: Flask) -> None:
        self.options: dict[str, Any] = {"next_url": "/thanks"}
        self.paid: list[UUID] = []
        self.answer: Any = "/hook"
        self.work: Callable[[TaskStatus], object] = lambda _: None
        self.client = app.test_client()
        forktask = ForkTask(app, owner=lambda: request.headers.get("Who"))
        self.url = app.extensions["forktask"].settings.database_url

        @forktask.on_complete
        def paid(status: TaskStatus) -> str | None:
            self.paid.append(status.id)
            self.work(status)
            if isinstance(self.answer, Exception):
                raise self.answer
            return str(self.answer) if self.answer else None

        self.hook = paid

        @app.post("/pay")
        def pay() -> Response:
            known = request.form.get("status")
            status = TaskStatus.get(known) if known else Pay.initiate({"fails": "fails" in request.form})
            return full_focus(status, **self.options)

    def pay(self, status: UUID | str = "", **headers: str) -> Any:
        """Press the button; `status`: of a task that is under way already."""
        return self.client.post("/pay", data={"status": str(status)} if status else {}, headers=headers)

    def step(self, status: UUID, **headers: str) -> str:
        """Press the button; return the address of the page between the steps."""
        answer = self.pay(status, **headers)
        assert answer.status_code == 303
        url = answer.headers["Location"]
        assert url.startswith("/forktask/focus/")
        return str(url)


def mine(store: Store, **values: Any) -> UUID:
    """Keep a status of the person `Ada`."""
    return keep(store, **{"owner": "Ada", "public": 0, "state": State.RUNNING, **values})
