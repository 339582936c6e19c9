"""What is answered while the database is away: locked, not reachable, or no database at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, render_template_string
from flask.testing import FlaskClient

from forktask import State, TaskStatus
from forktask.errors import StoreError
from forktask.rows import new_id
from forktask.store import Store
from forktask.web import ForkTask, full_focus
from tests.ports import claimed_port
from tests.web.asking import tokens_of
from tests.web.focus.site import HTMX
from tests.web.rows import keep, row

OURS = {"Forktask-Request": "1"}
JSON = {"Accept": "application/json"}
PROGRAM = "The database is away; ask again after the seconds of Retry-After."


@pytest.fixture
def away(bare: Flask) -> Iterator[Flask]:
    """An application whose database nobody serves."""
    with claimed_port() as port:
        bare.config["FORKTASK_DATABASE_URL"] = f"postgresql://nobody@127.0.0.1:{port}/none"
        ForkTask(bare, permit=lambda *_: True)
        yield bare


@contextmanager
def locked(app: Flask) -> Iterator[None]:
    """Keep all others from writing into the application's table."""
    file = app.extensions["forktask"].settings.database_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def steps_of(app: Flask) -> str:
    """Return the address of a page between two steps, of a status that nobody could read."""
    with app.test_request_context():
        status = TaskStatus(row(state=State.RUNNING), app.extensions["forktask"].runtime)
        return str(full_focus(status, next_url="/thanks", acceptable_wait=0.1).location)


@pytest.mark.parametrize("action", ["cancel", "pause", "resume", "retry"])
def test_a_button_says_to_try_again_and_works_then(bare: Flask, action: str) -> None:
    ForkTask(bare, locale=lambda: "de", permit=lambda *_: True)
    store, client = Store(bare.extensions["forktask"].settings.database_url), bare.test_client()
    (token,) = tokens_of(bare, keep(store, state=State.FAILED if action == "retry" else State.RUNNING))
    url = f"/forktask/progress/{token}/{action}"
    wanted = [OURS, JSON, {"Referer": "http://localhost/imports"}]
    with locked(bare), ThreadPoolExecutor(3) as pool:  # side by side: each waits as long as the database may be busy
        ours, program, person = pool.map(lambda headers: bare.test_client().post(url, headers=headers), wanted)
    assert [one.status_code for one in (ours, program, person)] == [503] * 3
    assert [one.headers["Retry-After"] for one in (ours, program, person)] == ["5"] * 3
    assert (ours.mimetype, program.mimetype) == ("application/problem+json",) * 2
    assert ours.get_json()["detail"] == "Das hat gerade nicht geklappt. Bitte versuchen Sie es gleich noch einmal."
    assert program.get_json()["detail"] == PROGRAM
    assert "Bitte versuchen Sie es gleich noch einmal." in person.text
    assert '<a href="http://localhost/imports">Zurück</a>' in person.text
    assert "http-equiv" not in person.text
    assert client.post(url, headers=OURS).status_code == 200
    store.close()


def looks(app: Flask) -> dict[str, str]:
    """Return what is asked for, and its address."""
    (token,) = tokens_of(app, new_id())
    return {
        "bar": f"/forktask/progress/{token}",
        "bars": f"/forktask/progress?t={token}",
        "corner": "/forktask/global",
        "step": steps_of(app),
    }


@pytest.mark.parametrize("what", ["bar", "bars", "corner", "step"])
def test_who_looks_is_told_when_to_look_again(away: Flask, what: str) -> None:
    client, url = away.test_client(), looks(away)[what]
    for headers in (OURS, JSON, HTMX):
        answer = client.get(url, headers=headers)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert answer.mimetype == "application/problem+json"
    person = client.get(url)
    assert (person.status_code, person.headers["Cache-Control"]) == (503, "no-store")
    assert f'<a href="{url}">Try again</a>' in person.text
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in person.text


def test_a_page_whose_layout_shows_what_runs_is_shown_all_the_same(
    away: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    with away.test_request_context():
        page = render_template_string("{{ forktask_global() }}")
    assert 'data-forktask-running="0"' in page
    assert "forktask_global: the database is away" in caplog.text


def test_a_step_whose_task_cannot_be_looked_at_leads_to_its_page(away: Flask, caplog: pytest.LogCaptureFixture) -> None:
    assert steps_of(away).startswith("/forktask/focus/")
    assert "full_focus: the database is away" in caplog.text


def test_what_no_waiting_mends_is_an_error_of_the_application(app: Flask, client: FlaskClient, tmp_path: Path) -> None:
    (token,) = tokens_of(app, new_id())
    (tmp_path / "instance" / "forktask.sqlite").write_text("no database " * 1000)
    asked: list[Any] = [
        lambda: client.get(f"/forktask/progress/{token}", headers=JSON),
        lambda: client.get("/forktask/global"),
    ]
    with app.test_request_context():
        asked.append(lambda: render_template_string("{{ forktask_global() }}"))
        for ask in asked:
            with pytest.raises(StoreError):
                ask()
