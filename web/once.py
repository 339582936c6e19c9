"""What a request says, so that the same one is known again: a form, or a program with an `Idempotency-Key`."""

from __future__ import annotations

import hashlib
from typing import Any

from flask import request
from werkzeug.exceptions import UnprocessableEntity

from forktask import ForkTaskError
from forktask.web import answers


class RepeatedKeyError(ForkTaskError, UnprocessableEntity):
    """An `Idempotency-Key` came again with another body; answered with 422 where nobody catches it."""

    def __init__(self) -> None:
        UnprocessableEntity.__init__(self, "This Idempotency-Key was used with another body; take a new key.")

    def __str__(self) -> str:
        return str(self.description)

    def get_response(self, *args: Any, **kwargs: Any) -> Any:
        """Return problem details to a program, a page to a person."""
        return answers.problem(self) if answers.wants_json() else super().get_response(*args, **kwargs)


def content_hash(*but: str) -> str:
    """Return what tells the body of the present request from another.

    Of a form the fields count, not the boundary between them, which each sending draws anew; of files name and size.

    Args:
        but: Fields that say nothing about it.
    """
    if request.form or request.files:
        fields = sorted(field for field in request.form.items(multi=True) if field[0] not in but)
        files = sorted((name, file.filename or "", _size(file)) for name, file in request.files.items(multi=True))
        body = repr((fields, files)).encode()
    else:
        body = request.get_data(cache=True)
    return hashlib.sha256(body).hexdigest()[:32]


def _size(file: Any) -> int:
    position = file.stream.tell()
    size = int(file.stream.seek(0, 2))
    file.stream.seek(position)
    return size
