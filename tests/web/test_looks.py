"""The options of a widget, which hold in the polls too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, render_template_string
from flask.testing import FlaskClient

from forktask import State, TaskStatus
from forktask.store import Store
from forktask.web import progress
from forktask.web.look import Look, unpack
from tests.web.asking import poll_all
from tests.web.rows import keep

PACE = {"active_seconds": 60.0, "pace_low": 0.005, "pace_high": 0.007}


def looks(app: Flask, client: FlaskClient, store: Store, options: str, **values: Any) -> tuple[str, str]:
    """Return a widget with options as the page has it, and as a poll replaces it."""
    status = keep(store, **{"state": State.RUNNING, "percent": 40.0, "message": "Importing", **values})
    with app.test_request_context():
        template = f"{{{{ forktask_progress(status{options}) }}}}"
        page = render_template_string(template, status=TaskStatus.get(status))
    token = re.search('data-forktask-token="([^"]+)"', page)
    assert token
    (bar,) = poll_all(client, token[1]).get_json()["bars"]
    assert bar["html"].strip() in page
    return page, bar["html"]


def test_options_hold_in_the_polls(app: Flask, client: FlaskClient, store: Store) -> None:
    assert "forktask-compact" in looks(app, client, store, ", compact=true")[1]
    assert "forktask-compact" not in looks(app, client, store, "")[1]
    assert "left" in looks(app, client, store, "", **PACE)[1]
    assert "left" not in looks(app, client, store, ", time=false", **PACE)[1]
    hidden = looks(app, client, store, ", message=false")[1]
    assert "Importing" not in hidden
    assert "Running" in hidden
    assert 'data-forktask-next="0.5"' in looks(app, client, store, ", interval=0.5")[1]


def test_texts_can_be_said_otherwise(app: Flask, client: FlaskClient, store: Store) -> None:
    said = looks(app, client, store, ", texts={'Done': 'All yours <3'}", state=State.COMPLETED, message=None)[1]
    assert "All yours &lt;3" in said
    assert ">Done<" not in said


def test_a_template_of_ones_own_shows_the_status(app: Flask, client: FlaskClient, store: Store, tmp_path: Path) -> None:
    (tmp_path / "templates" / "own.html").write_text("<b>{{ status.title }}: {{ status.figure }}</b>")
    assert "<b>Customer import: 40%</b>" in looks(app, client, store, ", template='own.html'")[1]


def test_a_widget_is_an_answer_by_itself(app: Flask, client: FlaskClient, store: Store) -> None:
    status = keep(store, state=State.RUNNING)

    @app.post("/start")
    def start() -> str:
        return progress(TaskStatus.get(status), compact=True)

    assert 'class="forktask"' in client.post("/start").text


def test_options_that_there_are_not_are_named(app: Flask, store: Store) -> None:
    with app.test_request_context():
        status = TaskStatus.get(keep(store))
        with pytest.raises(TypeError, match="colour"):
            progress(status, colour="red")  # type: ignore[call-arg]
        with pytest.raises(ValueError, match="interval is 0"):
            progress(status, interval=0)


def test_what_is_usual_makes_no_address_longer() -> None:
    assert Look().pack() == b""
    assert unpack(b"") == Look()
    own = Look(compact=True, texts={"Done": "Fertig ✓"}, interval=2.0)
    assert unpack(own.pack()) == own


def test_a_widget_that_this_person_may_not_see_says_only_that(
    app: Flask, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    with app.test_request_context():
        page = progress(TaskStatus.get(keep(store, public=0, state=State.RUNNING, message="Importing")))
    assert "can no longer be shown" in page
    assert "Importing" not in page
    assert "nobody may see it" in caplog.text


def test_steps_are_a_list_with_its_present_one_marked(app: Flask, client: FlaskClient, store: Store) -> None:
    phases = [{"name": "<i>Reading", "state": "done"}, {"name": "Importing", "state": "now"}]
    shown = looks(app, client, store, "", phases=phases)[1]
    (steps,) = re.findall('<ol class="forktask-steps".*?</ol>', shown, re.DOTALL)
    first, second = re.findall("<li.*?</li>", steps, re.DOTALL)
    assert tuple(re.findall(">([^<>]+)<", first)) == ("Done: ", "&lt;i&gt;Reading")
    assert tuple(re.findall(">([^<>]+)<", second)) == ("Now: ", "Importing")
    assert ('aria-current="step"' in first, 'aria-current="step"' in second) == (False, True)
    for hidden in (", compact=true", ", steps=false"):
        assert "<ol" not in looks(app, client, store, hidden, phases=phases)[1]
    assert "<ol" not in looks(app, client, store, "", phases=None)[1]


def test_an_option_of_another_version_is_passed_over() -> None:
    assert unpack(b'{"compact": true, "shape": "round"}') == Look(compact=True)
