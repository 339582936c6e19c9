"""What the documents of queue and schedule show can be typed in, and does what the text beside it says."""

from __future__ import annotations

import json
from pathlib import Path

from tests.docs.pages import blocks
from tests.docs.serving import Folder

BEFORE = """
import json
from collections.abc import Sequence
from contextlib import contextmanager
from typing import Any

from flask import Flask

from forktask import LiveStatus, Retry, RetryLater, Task, TaskStatus, TaskStopped, task
from forktask.web import ForkTask

app = Flask(__name__)
app.secret_key = "secret"
ForkTask(app)
app.app_context().push()

class ReportTask(Task):
    def execute(self, status: LiveStatus) -> None: ...

class PrintTask(ReportTask): ...
"""

AFTER = """
class mailbox:
    is_open = staticmethod(lambda: False)

@contextmanager
def mail_server():
    class Server:
        def send(self, letter):
            if "to" not in letter:
                raise ValueError("no address")
            return f"sent to {letter['to']}"
    yield Server()

print("TOLD", json.dumps({
    "orders": [
        [status.task.rpartition(".")[2], status.queue, status.priority, status.settings, status.run_after is not None]
        for status in TaskStatus.find(limit=100)
    ],
    "limits": [at_once, CallTask.limit.rate],
    "mail": MailTask.initiate(owner="bob").error,
    "letters": [[(letter := LettersTask.initiate(settings)).state, letter.result] for settings in ({"to": "Eve"}, {})],
    "conflict": len({MailTask.enqueue({"n": n}, owner="eve").id for n in range(2)}),
    "schedules": sorted(declared()),
}))
"""


def test_the_examples_of_queue_and_schedule_work(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    queue, limits, batch = blocks("docs/queue.md", "python")
    (schedule,) = blocks("docs/schedule.md", "python")
    limits = limits.replace("{...}", '{"pages": 2}') + "at_once = ReportTask.limit.running"
    code = [BEFORE, queue, limits, batch, schedule]
    folder.write("shop.py", "\n".join([*code, "from forktask.schedule.declaration import declared", AFTER]))
    output = folder.run("shop.py", FORKTASK_START_METHOD="inline", FORKTASK_APP="shop:app")
    told = json.loads(output.partition("TOLD ")[2])
    orders = told["orders"]
    assert ["ReportTask", "default", 50, {"month": 5}, False] in orders, "joined, or waits"
    assert ["ReportTask", "default", 80, {"month": 5}, True] in orders
    assert [order[3]["month"] for order in orders if order[1] == "reports"] == [*range(11, -1, -1)]
    assert ["PrintTask", "default", 50, {"pages": 2}, False] in orders
    assert told["limits"] == [3, 10]
    assert told["mail"] == "The mailbox is closed at the moment."
    assert told["letters"][0] == ["completed", "sent to Eve"]
    assert told["letters"][1] == ["failed", None]
    assert told["conflict"] == 2
    assert "nightly-report" in told["schedules"]
    assert len(told["schedules"]) == 3
