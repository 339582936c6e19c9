"""An application that has gevent patch Python when it is imported, in the supervisor too."""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import select  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
from flask import Flask  # noqa: E402
from served import ServedTask, connect  # noqa: E402

from forktask import LiveStatus  # noqa: E402

app = Flask(__name__)


class PatchedTask(ServedTask):
    """As the others, with two greenlets at once."""

    def execute(self, status: LiveStatus) -> dict[str, Any]:
        found = super().execute(status)
        order: list[str] = []

        def note(name: str, seconds: float) -> None:
            select.select((), (), (), seconds)
            order.append(name)

        gevent.joinall([gevent.spawn(note, "late", 0.02), gevent.spawn(note, "early", 0.01)])
        return {**found, "order": order}


connect(app, PatchedTask)
gevent.sleep(0)
