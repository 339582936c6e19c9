"""Who may see a status."""

from __future__ import annotations

import hashlib

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from flask_login import LoginManager, UserMixin, login_user
from itsdangerous import URLSafeSerializer

from forktask import ConfigurationError, State
from forktask.rows import new_id
from forktask.store import Store
from forktask.web import ForkTask
from tests.web.asking import poll, url
from tests.web.rows import keep


class User(UserMixin):  # type: ignore[misc]  # Flask-Login has no types
    def __init__(self, name: str) -> None:
        self.id = name


def test_a_url_is_the_same_at_every_call(app: Flask) -> None:
    status = new_id()
    assert url(app, status) == url(app, status)


@pytest.mark.parametrize("change", ["flipped", "unsigned", "of another salt"])
def test_a_forged_url_is_not_found(app: Flask, client: FlaskClient, store: Store, change: str) -> None:
    status = keep(store, state=State.RUNNING)
    good = url(app, status)
    with app.test_request_context():
        signer = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        other = str(URLSafeSerializer("only for tests", salt="another", signer_kwargs=signer).dumps(status.hex))
    forged = {
        "flipped": good[:-8] + good[-8:].swapcase(),
        "unsigned": good.rpartition(".")[0],
        "of another salt": good.rpartition("/")[0] + "/" + other,
    }[change]
    assert client.get(good).status_code == 200
    assert client.get(forged).status_code == 404


def test_an_unknown_status_is_not_found(app: Flask, client: FlaskClient, store: Store) -> None:
    assert client.get(url(app, new_id())).status_code == 404


def test_a_status_with_an_owner_is_found_by_that_owner_only(bare: Flask) -> None:
    ForkTask(bare, owner=lambda: request.headers.get("Who"))
    store = Store(bare.extensions["forktask"].settings.database_url)
    client = bare.test_client()
    mine, open_to_all = keep(store, owner="7"), keep(store)
    assert poll(client, mine, Who="7").status_code == 200
    assert poll(client, mine, Who="8").status_code == 404
    assert poll(client, mine).status_code == 404
    assert poll(client, open_to_all).status_code == 200
    store.close()


def test_somebody_elses_status_looks_like_none(bare: Flask) -> None:
    ForkTask(bare, owner=lambda: "8")
    store = Store(bare.extensions["forktask"].settings.database_url)
    client = bare.test_client()
    assert poll(client, keep(store, owner="7")).data == poll(client, new_id()).data
    store.close()


def test_without_any_login_an_owned_status_is_found_by_nobody(client: FlaskClient, store: Store) -> None:
    assert poll(client, keep(store, owner="7")).status_code == 404


def test_an_owner_that_is_a_number_is_compared_as_text(bare: Flask) -> None:
    ForkTask(bare, owner=lambda: 7)  # type: ignore[arg-type,return-value]  # people do
    store = Store(bare.extensions["forktask"].settings.database_url)
    assert poll(bare.test_client(), keep(store, owner="7")).status_code == 200
    store.close()


def test_flask_login_is_asked_where_it_is_used(app: Flask, client: FlaskClient, store: Store) -> None:
    manager = LoginManager(app)
    manager.user_loader(User)

    @app.get("/login/<name>")
    def login(name: str) -> str:
        login_user(User(name))
        return "in"

    mine = keep(store, owner="7")
    assert poll(client, mine).status_code == 404
    client.get("/login/8")
    assert poll(client, mine).status_code == 404
    client.get("/login/7")
    assert poll(client, mine).status_code == 200


def test_urls_survive_the_rotation_of_the_secret_key(app: Flask, client: FlaskClient, store: Store) -> None:
    status = keep(store, state=State.RUNNING)
    old = url(app, status)
    app.config.update(SECRET_KEY="a newer one", SECRET_KEY_FALLBACKS=["only for tests"])
    assert client.get(old).status_code == 200
    assert url(app, status) != old
    app.config.update(SECRET_KEY_FALLBACKS=[])
    assert client.get(old).status_code == 404


def test_without_a_secret_key_the_error_says_what_to_set(app: Flask) -> None:
    app.secret_key = None
    with pytest.raises(ConfigurationError, match=r"SECRET_KEY.*app\.config\['SECRET_KEY'\]"):
        url(app, new_id())
