"""One request for all bars of a page."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask, request
from flask.testing import FlaskClient

from forktask import State
from forktask.clock import now
from forktask.rows import new_id
from forktask.store import Store
from forktask.web import ForkTask
from forktask.web.extension import slow_down
from forktask.web.look import Look
from forktask.web.tokens import Action
from tests.waiting import wait_until
from tests.web.asking import poll_all, tokens_of
from tests.web.rows import keep, watcher


def bars(response: Any) -> list[Any]:
    """Return what an answer holds for each bar."""
    found: list[Any] = response.get_json()["bars"]
    return found


def test_one_answer_has_all_bars_in_the_order_of_the_request(app: Flask, client: FlaskClient, store: Store) -> None:
    statuses = [keep(store, state=State.RUNNING, percent=float(share)) for share in (30, 10, 20)]
    found = bars(poll_all(client, *tokens_of(app, *statuses)))
    assert [f'value="{share}"' in bar["html"] for share, bar in zip((30, 10, 20), found, strict=True)] == [True] * 3


def test_only_what_changed_is_sent(app: Flask, client: FlaskClient, store: Store) -> None:
    statuses = [keep(store, state=State.COMPLETED), keep(store, state=State.RUNNING, started_at=now())]
    tokens = tokens_of(app, *statuses)
    first = [bar["tag"] for bar in bars(poll_all(client, *tokens))]
    again = poll_all(client, *tokens, **{"If-None-Match": f'"{first[0]}", "old"'})
    assert again.status_code == 200
    assert [bar and bar["tag"] for bar in bars(again)] == [None, first[1]]
    nothing = poll_all(client, *tokens, **{"If-None-Match": ", ".join(f'"{tag}"' for tag in first)})
    assert (nothing.status_code, nothing.data) == (304, b"")
    assert nothing.headers["Forktask-Next"] == "1"


def test_all_rows_are_read_by_one_statement(app: Flask, client: FlaskClient, store: Store) -> None:
    tokens = tokens_of(app, *(keep(store, state=State.COMPLETED) for _ in range(20)))
    database = app.extensions["forktask"].runtime.store.database
    poll_all(client, *tokens)
    sent: list[str] = []
    connection = database.engine.raw_connection()
    connection.driver_connection.set_trace_callback(sent.append)
    connection.close()
    assert len(bars(poll_all(client, *tokens))) == 20
    assert len([statement for statement in sent if statement.startswith("SELECT")]) == 1


def test_what_may_not_be_seen_stands_beside_what_may(app: Flask, client: FlaskClient, store: Store) -> None:
    mine = keep(store, state=State.RUNNING)
    foreign = keep(store, state=State.RUNNING, public=0)
    expired = tokens_of(app, mine, expires_at=now() - timedelta(seconds=1))
    blind = tokens_of(app, mine, actions=[Action.CANCEL])
    response = poll_all(client, *tokens_of(app, mine, foreign, new_id()), *expired, *blind, "forged", "")
    assert [bar["state"] for bar in bars(response)] == ["running", *["gone"] * 6]
    assert all("can no longer be shown" in bar["html"] for bar in bars(response)[1:])


def test_who_was_signed_out_is_told_to_sign_in(bare: Flask) -> None:
    ForkTask(bare, owner=lambda: request.headers.get("Who"))
    store = Store(bare.extensions["forktask"].settings.database_url)
    (token,) = tokens_of(bare, keep(store, owner="7", public=0))
    seen = {who: bars(poll_all(bare.test_client(), token, **who_is))[0] for who, who_is in WHO.items()}
    assert {who: bar["state"] for who, bar in seen.items()} == {"7": "queued", "8": "gone", "": "signed-out"}
    store.close()


WHO: dict[str, dict[str, str]] = {"7": {"Who": "7"}, "8": {"Who": "8"}, "": {}}


def test_a_token_asks_for_one_of_our_statuses_only(app: Flask, client: FlaskClient, store: Store) -> None:
    assert bars(poll_all(client)) == []
    assert len(bars(poll_all(client, *["x"] * 1000))) == 100


def test_the_time_to_the_next_look_grows_with_the_age_of_the_task(
    app: Flask, client: FlaskClient, store: Store
) -> None:
    def wait(**values: Any) -> str | None:
        (token,) = tokens_of(app, keep(store, **values), look=values.pop("look", Look()).pack())
        return poll_all(client, token).headers.get("Forktask-Next")

    moment = now()
    assert wait(state=State.RUNNING) == "1"
    assert wait(state=State.RUNNING, started_at=moment - timedelta(hours=3)) == "10"
    assert float(wait(state=State.RUNNING, started_at=moment - timedelta(minutes=8)) or 0) == pytest.approx(4, abs=0.1)
    assert float(wait(created_at=moment - timedelta(minutes=8)) or 0) == pytest.approx(4, abs=0.1)
    assert wait(state=State.RUNNING, created_at=moment - timedelta(days=1)) == "1"
    assert wait(state=State.FAILED) is None


def test_the_page_asks_again_when_the_first_of_its_bars_wants_it(app: Flask, client: FlaskClient, store: Store) -> None:
    old = keep(store, state=State.RUNNING, started_at=now() - timedelta(hours=3))
    tokens = tokens_of(app, old) + tokens_of(app, old, look=Look(interval=0.25).pack())
    assert poll_all(client, *tokens).headers["Forktask-Next"] == "2.5"


def test_the_curve_can_be_replaced(bare: Flask) -> None:
    ForkTask(bare, poll_curve=lambda age: 3 if age > 60 else 1)
    store = Store(bare.extensions["forktask"].settings.database_url)
    (token,) = tokens_of(bare, keep(store, state=State.RUNNING, started_at=now() - timedelta(minutes=2)))
    assert poll_all(bare.test_client(), token).headers["Forktask-Next"] == "3"
    store.close()


def test_the_usual_curve_never_falls() -> None:
    times = [slow_down(age) for age in range(0, 10_000, 10)]
    assert times == sorted(times)
    assert (times[0], times[-1]) == (1, 10)


def test_an_address_that_grants_nothing_but_looking_shows_no_buttons(
    app: Flask, client: FlaskClient, store: Store
) -> None:
    state = app.extensions["forktask"]
    app.extensions["forktask"] = replace(state, permit=lambda status, action, requester: True)
    status = keep(store, state=State.RUNNING)
    full, less = tokens_of(app, status) + tokens_of(app, status, actions=[Action.SEE])
    with_buttons, without = bars(poll_all(client, full, less))
    assert "/cancel" in with_buttons["html"]
    assert "/cancel" not in without["html"]


def test_statuses_of_a_page_are_made_true(app: Flask, client: FlaskClient, store: Store) -> None:
    dead = keep(store, state=State.RUNNING, supervisor_id=new_id())
    assert bars(poll_all(client, *tokens_of(app, dead)))[0]["state"] == "lost"


def test_a_poll_tells_the_death_of_a_supervisor_that_the_last_one_saw_alive(
    app: Flask, client: FlaskClient, store: Store
) -> None:
    supervisor = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    tokens = tokens_of(app, keep(store, state=State.RUNNING, supervisor_id=watcher(store, supervisor.pid)))
    assert [bars(poll_all(client, *tokens))[0]["state"] for _ in range(2)] == ["running"] * 2
    supervisor.communicate()
    wait_until(lambda: bars(poll_all(client, *tokens))[0]["state"] == "lost")


def test_buttons_point_below_the_address_at_which_the_poll_arrived(
    app: Flask, client: FlaskClient, store: Store
) -> None:
    (token,) = tokens_of(app, keep(store, state=State.RUNNING))
    app.extensions["forktask"] = replace(app.extensions["forktask"], permit=lambda status, action, requester: True)
    # WSGI hands over the bytes of a path as Latin-1 (PEP 3333).
    below = {"SCRIPT_NAME": "/Übung 1".encode().decode("latin-1")}
    found = client.get("/forktask/progress", query_string={"t": token}, environ_overrides=below)
    assert f'action="/%C3%9Cbung%201/forktask/progress/{token}/cancel"' in bars(found)[0]["html"]


def test_what_the_application_adds_to_addresses_stands_in_the_answer_to_a_poll(
    app: Flask, client: FlaskClient, store: Store
) -> None:
    (token,) = tokens_of(app, keep(store, state=State.RUNNING))
    app.extensions["forktask"] = replace(app.extensions["forktask"], permit=lambda status, action, requester: True)
    app.url_defaults(lambda endpoint, values: values.setdefault("tenant", "7"))
    assert f"/forktask/progress/{token}/cancel?tenant=7" in bars(poll_all(client, token))[0]["html"]


def test_a_token_is_not_remembered_longer_than_its_key(app: Flask, client: FlaskClient, store: Store) -> None:
    (token,) = tokens_of(app, keep(store, state=State.RUNNING))
    assert bars(poll_all(client, token))[0]["state"] == "running"
    app.secret_key = "another"
    assert bars(poll_all(client, token))[0]["state"] == "gone"
