"""Requests as widgets, people and programs make them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Flask, render_template_string, url_for
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from forktask import TaskStatus
from forktask.web import access


def url(app: Flask, status_id: UUID) -> str:
    """Return the signed URL of a status."""
    with app.test_request_context():
        return url_for("forktask.progress", token=access.sign(status_id))


def poll(client: FlaskClient, status_id: UUID, **headers: Any) -> TestResponse:
    """Ask as the widget does."""
    return client.get(url(client.application, status_id), headers={"HX-Request": "true", **headers})


def rendered(app: Flask, status_id: UUID) -> str:
    """Return what `forktask_progress` puts into a page."""
    with app.test_request_context():
        return render_template_string("{{ forktask_progress(status) }}", status=TaskStatus.get(status_id))
