"""Requests as widgets, people and programs make them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Flask, render_template_string, url_for
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from forktask import TaskStatus
from forktask.web.tokens import sign


def url(app: Flask, status_id: UUID) -> str:
    """Return the signed URL of a status."""
    with app.test_request_context():
        return url_for("forktask.progress", token=sign(status_id))


def poll(client: FlaskClient, status_id: UUID, **headers: Any) -> TestResponse:
    """Ask for the widget, as a script does."""
    return client.get(url(client.application, status_id), headers={"HX-Request": "true", **headers})


def poll_all(client: FlaskClient, *tokens: str, **headers: Any) -> TestResponse:
    """Ask for all bars of a page, as its script does."""
    return client.get("/forktask/progress", query_string={"t": tokens}, headers={"Forktask-Request": "1", **headers})


def tokens_of(app: Flask, *statuses: UUID, **options: Any) -> list[str]:
    """Return tokens of some statuses."""
    with app.test_request_context():
        return [sign(status, **options) for status in statuses]


def rendered(app: Flask, status_id: UUID) -> str:
    """Return what `forktask_progress` puts into a page."""
    with app.test_request_context():
        return render_template_string("{{ forktask_progress(status) }}", status=TaskStatus.get(status_id))
