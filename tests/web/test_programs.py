"""What programs get: every answer as the schema in docs/ says."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flask import Flask, Response, request
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator

from forktask import LiveStatus, State, Task, TaskStatus
from forktask.clock import now
from forktask.rows import new_id
from forktask.store import Store
from forktask.web import ForkTask, accepted, status_url
from forktask.web.once import content_hash
from forktask.web.programs import preferred_wait
from tests.web.asking import url
from tests.web.rows import keep

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "status.schema.json").read_text())
JSON = {"Accept": "application/json"}


class Add(Task):
    """Add two numbers."""

    def execute(self, status: LiveStatus) -> int:
        return int(status.settings["a"]) + int(status.settings["b"])


def fits(answer: Any, kind: str = "status") -> dict[str, Any]:
    """Return the JSON of an answer, which is as the schema says."""
    schema = {"$ref": f"#/$defs/{kind}", "$defs": SCHEMA["$defs"]}
    found: dict[str, Any] = json.loads(answer.get_data())
    Draft202012Validator(schema).validate(found)
    return found


@pytest.fixture
def site(app: Flask, store: Store, client: FlaskClient) -> FlaskClient:
    """Give a client of an application that starts tasks for programs."""

    @app.post("/sums")
    def start() -> Response:
        return accepted(Add.initiate(request.get_json()), result=True)

    @app.get("/again/<uuid:known>")
    def again(known: UUID) -> Response:
        return accepted(TaskStatus.get(known))

    return client


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("state", State)
def test_a_status_is_as_the_schema_says(app: Flask, client: FlaskClient, store: Store, state: State) -> None:
    moment = now()
    bare = fits(client.get(url(app, keep(store, state=state)), headers=JSON))
    assert (bare["state"], bare["is_final"], bare["warnings"], bare["phases"]) == (state, state.is_final, [], [])
    full = {
        "percent": 62.5,
        "message": "Importing",
        "done": 5,
        "total": 8,
        "unit": "rows",
        "warnings": ["w"],
        "phases": [{"name": "Reading", "state": "now"}],
        "error": "No.",
        "reference": "K7QX-3MFA",
        "run_after": moment + timedelta(days=1) if state is State.QUEUED else moment,
        "started_at": moment,
        "finished_at": moment if state.is_final else None,
        "attempt": 2,
        "max_attempts": 3,
    }
    found = fits(client.get(url(app, keep(store, state=state, result={"secret": 1}, **full)), headers=JSON))
    assert {key: found[key] for key in ("percent", "done", "total", "unit", "phases", "attempt")} == {
        key: full[key] for key in ("percent", "done", "total", "unit", "phases", "attempt")
    }
    assert all(datetime.fromisoformat(found[key]).utcoffset() == timedelta(0) for key in ("created_at", "started_at"))
    assert "result" not in found


def test_errors_are_problems_as_the_schema_says(app: Flask, client: FlaskClient, store: Store) -> None:
    for address, status in (("/forktask/progress/forged", 404), (url(app, new_id()), 410)):
        answer = client.get(address, headers=JSON)
        assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
        assert fits(answer, "problem")["status"] == status


def test_a_start_is_accepted_and_says_where_and_when_to_ask(site: FlaskClient, store: Store) -> None:
    status = keep(store, state=State.RUNNING)
    answer = site.get(f"/again/{status}")
    assert (answer.status_code, fits(answer)["id"]) == (202, str(status))
    assert answer.headers["Retry-After"] == "1"
    location = answer.headers["Location"]
    assert fits(site.get(location, headers=JSON))["links"]["self"] == location


def test_a_start_that_has_ended_already_is_answered_with_its_end(site: FlaskClient) -> None:
    answer = site.post("/sums", json={"a": 2, "b": 3})
    found = fits(answer)
    assert (answer.status_code, found["state"], found["result"]) == (200, "completed", 5)
    assert "Location" not in answer.headers
    again = site.get(answer.headers["Content-Location"], headers=JSON)
    assert fits(again)["result"] == 5


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (["wait=5"], 5),
        (["respond-async, wait=5"], 5),
        (["respond-async", 'Wait = "5"'], 5),
        (["wait=5; foo=bar"], 5),
        (["wait=3, wait=5"], 3),
        (["wait=999999999"], 999999999),
        ([], None),
        (["respond-async"], None),
        (["wait"], None),
        (["wait=soon"], None),
        (["wait=-1"], None),
        (["wait=1.5"], None),
        (["await=5"], None),
    ],
)
def test_what_a_program_prefers_is_read_as_the_rfc_says(bare: Flask, prefer: list[str], seconds: int | None) -> None:
    with bare.test_request_context(headers=[("Prefer", value) for value in prefer]):
        assert preferred_wait() == seconds


def test_a_program_waits_as_long_as_it_prefers_and_may(
    app: Flask, site: FlaskClient, store: Store, waits: list[float]
) -> None:
    status = keep(store, state=State.RUNNING)
    for address in (url(app, status), f"/again/{status}"):
        for seconds, applied in ((4, 4), (60, 10)):
            answer = site.get(address, headers={"Prefer": f"wait={seconds}", **JSON})
            assert answer.headers["Preference-Applied"] == f"wait={applied}"
            assert "Prefer" in answer.vary
        assert "Preference-Applied" not in site.get(address, headers=JSON).headers
    assert waits == [4, 10] * 2


def test_a_program_that_finds_no_seat_is_answered_at_once(
    app: Flask, client: FlaskClient, store: Store, waits: list[float]
) -> None:
    seats = app.extensions["forktask"].seats
    with seats.seat(9), seats.seat(9):
        answer = client.get(url(app, keep(store, state=State.RUNNING)), headers={"Prefer": "wait=4", **JSON})
    assert answer.status_code == 200
    assert "Preference-Applied" not in answer.headers
    assert waits == []


def test_a_result_is_read_only_where_the_application_lets_it(site: FlaskClient) -> None:
    found = fits(site.post("/sums", json={"a": 2, "b": 3}))
    assert found["result"] == 5
    again = site.get(f"/again/{found['id']}")
    assert "result" not in fits(again)
    assert "result" not in fits(site.get(again.headers["Content-Location"], headers=JSON))


@pytest.mark.parametrize(
    ("state", "actions"),
    [
        (State.QUEUED, {"cancel", "pause"}),
        (State.RUNNING, {"cancel", "pause"}),
        (State.PAUSED, {"cancel", "resume"}),
        (State.COMPLETED, set()),
        (State.FAILED, {"retry"}),
    ],
)
def test_what_can_be_done_is_named_with_its_address(
    bare: Flask, tmp_path: Path, state: State, actions: set[str]
) -> None:
    ForkTask(bare, owner=lambda: request.headers.get("Who"))
    store, client = Store(bare.extensions["forktask"].settings.database_url), bare.test_client()
    status = keep(store, owner="Ada", public=1, state=state)
    mine = fits(client.get(url(bare, status), headers={"Who": "Ada", **JSON}))
    assert mine["links"].keys() - {"self"} == actions
    his = fits(client.get(url(bare, status), headers={"Who": "Bob", **JSON}))
    assert his["links"].keys() == {"self"}
    if state is State.QUEUED:
        answer = client.post(mine["links"]["cancel"], headers={"Who": "Ada", **JSON})
        assert (answer.status_code, fits(answer)["state"]) == (200, "cancelled")
        again = client.post(mine["links"]["pause"], headers={"Who": "Ada", **JSON})
        assert (again.status_code, fits(again, "problem")["status"]) == (409, 409)
        assert client.post(mine["links"]["cancel"], headers={"Who": "Bob", **JSON}).status_code == 404
    store.close()


def test_the_addresses_of_an_answer_lead_no_further_than_the_one_that_was_asked(
    app: Flask, client: FlaskClient, store: Store
) -> None:
    with app.test_request_context():
        status = TaskStatus.get(keep(store))
        address = status_url(status, actions=["see", "cancel"], lifetime=timedelta(hours=1))
    links = fits(client.get(address, headers=JSON))["links"]
    assert links["self"] == address


KEY = {"Idempotency-Key": '"8e03978e"', **JSON}


def test_the_same_key_with_the_same_body_is_the_same_status(site: FlaskClient) -> None:
    first = fits(site.post("/sums", json={"a": 2, "b": 3}, headers=KEY))
    assert fits(site.post("/sums", json={"a": 2, "b": 3}, headers=KEY))["id"] == first["id"]
    other = {**KEY, "Idempotency-Key": "another"}
    assert fits(site.post("/sums", json={"a": 2, "b": 3}, headers=other))["id"] != first["id"]


def test_the_same_key_with_another_body_is_refused_as_the_draft_says(site: FlaskClient) -> None:
    site.post("/sums", json={"a": 2, "b": 3}, headers=KEY)
    answer = site.post("/sums", json={"a": 2, "b": 4}, headers=KEY)
    assert (answer.status_code, answer.mimetype) == (422, "application/problem+json")
    assert "another body" in fits(answer, "problem")["detail"]
    plain = site.post("/sums", json={"a": 2, "b": 4}, headers={"Idempotency-Key": '"8e03978e"'})
    assert (plain.status_code, plain.mimetype) == (422, "text/html")


def test_the_same_key_of_what_failed_is_answered_the_same(site: FlaskClient, store: Store) -> None:
    first = fits(site.post("/sums", json={"a": 2, "b": 3}, headers=KEY))
    store.database.run(lambda cursor: cursor.execute("UPDATE forktask_status SET state = 'failed'"))
    assert fits(site.post("/sums", json={"a": 2, "b": 3}, headers=KEY))["id"] == first["id"]


def test_the_same_key_at_another_address_is_another_order(app: Flask, site: FlaskClient) -> None:
    app.add_url_rule("/more/sums", view_func=app.view_functions["start"], methods=["POST"])
    first, second = (fits(site.post(path, json={"a": 2, "b": 3}, headers=KEY)) for path in ("/sums", "/more/sums"))
    assert first["id"] != second["id"]


def test_another_client_may_use_the_same_key(app: Flask, site: FlaskClient) -> None:
    first = fits(site.post("/sums", json={"a": 2, "b": 3}, headers=KEY))
    assert fits(app.test_client().post("/sums", json={"a": 9, "b": 9}, headers=KEY))["id"] != first["id"]


@pytest.mark.parametrize("changed", ["", "field", "file's name", "file's size"])
def test_of_a_form_the_fields_and_files_count_and_not_its_boundary(app: Flask, changed: str) -> None:
    def content(field: str, name: str, data: bytes) -> str:
        form = {"field": field, "file": (BytesIO(data), name)}
        with app.test_request_context(method="POST", data=form):
            assert request.files["file"].read() == data
            found = content_hash()
            assert request.files["file"].tell() == len(data)
            return found

    first = content("a", "a.csv", b"1234")
    again = {
        "": content("a", "a.csv", b"1234"),
        "field": content("b", "a.csv", b"1234"),
        "file's name": content("a", "b.csv", b"1234"),
        "file's size": content("a", "a.csv", b"12345"),
    }[changed]
    assert (first == again) is (not changed)


def test_a_page_never_waits(app: Flask, client: FlaskClient, store: Store, waits: list[float]) -> None:
    client.get(url(app, keep(store, state=State.RUNNING)), headers={"Prefer": "wait=4"})
    assert waits == []
