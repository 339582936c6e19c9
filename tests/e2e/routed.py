"""A site without a server: the browser's requests go straight to an application in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

from flask import Flask, Response, render_template_string
from playwright.sync_api import Page, Route

from forktask import State, TaskStatus
from forktask.store import Store
from forktask.web import ForkTask, full_focus
from tests.web.rows import keep

HOST = "http://site.test"
PAGE = """<!doctype html><html lang="en"><head><title>Site</title>{{ forktask_head() }}</head><body hx-boost="true">
<a href="/other">Other page</a>{{ forktask_notice() }}
<div id="bars">{% for status in statuses %}{{ forktask_progress(status) }}{% endfor %}
</div>{% if corner %}{{ forktask_global() }}{% endif %}</body></html>"""


class Site:
    """An application whose rows a test writes, and the requests that a page sent to it.

    Attributes:
        sent: Addresses, without the host.
        instead: Called first with each request; True: it was answered.
    """

    def __init__(self, folder: Path, page: Page) -> None:
        self.app = Flask("site", root_path=str(folder), instance_path=str(folder))
        self.app.config.update(
            SECRET_KEY="only for tests",
            FORKTASK_START_METHOD="inline",
            FORKTASK_APP="site:app",
            FORKTASK_POLL_INTERVAL=0.2,
        )
        self.forktask = ForkTask(self.app, locale=lambda: "de", permit=lambda *_: True)
        self.store = Store(self.app.extensions["forktask"].settings.database_url)
        self.store.ensure_tables()
        self.client = self.app.test_client()
        self.sent: list[str] = []
        self.instead: Callable[[Route], bool] = lambda _: False
        page.route("**/*", self._answer)
        self.app.add_url_rule("/bars/<uuid:id>", "bars", lambda id: self._page(TaskStatus.get(id)))
        self.app.add_url_rule("/corner", "corner", lambda: self._page(corner=True))
        self.app.add_url_rule("/step/<uuid:id>", "step", self._step)
        self.app.add_url_rule("/other", "other", lambda: self._page(corner=True))

    def keep(self, **values: object) -> UUID:
        """Write a row; it runs unless it is said."""
        return keep(self.store, **{"state": State.RUNNING, **values})

    def change(self, values: str) -> None:
        """Change all rows, as SQL says."""
        self.store.database.run(lambda cursor: cursor.execute(f"UPDATE forktask_status SET {values}"))

    def looks(self, path: str = "/forktask/global") -> int:
        """Return how often a path was asked for."""
        return sum(urlsplit(address).path == path for address in self.sent)

    def forget(self) -> None:
        """Delete all statuses, as pruning does."""
        self.store.database.run(lambda cursor: cursor.execute("DELETE FROM forktask_status"))

    def step(self, status: UUID) -> str:
        """Return the address of the page between two steps: redirects cannot be answered here."""
        return HOST + str(self.client.get(f"/step/{status}", base_url=HOST).location)

    def _step(self, id: UUID) -> Response:
        return full_focus(
            TaskStatus.get(id), next_url="/other", acceptable_wait=0, back_url="/corner", leave_url="/other"
        )

    def _page(self, *statuses: TaskStatus, corner: bool = False) -> str:
        return render_template_string(PAGE, statuses=statuses, corner=corner)

    def _answer(self, route: Route) -> None:
        request = route.request
        address = request.url.removeprefix(HOST)
        self.sent.append(address)
        if self.instead(route):
            return
        headers = {name: value for name, value in request.headers.items() if name != "if-none-match"}
        answer = self.client.open(
            address, base_url=HOST, method=request.method, data=request.post_data_buffer, headers=headers
        )
        with answer:  # files are open until then
            route.fulfill(status=answer.status_code, headers=dict(answer.headers), body=answer.get_data())
