"""Mistakes a type checker must find: exactly the lines that end in `# wrong`."""

from __future__ import annotations

from forktask import LiveStatus, Retry, State, Task, TaskStatus, task
from forktask.web import ForkTask


class BadTask(Task):
    def execute(self, status: LiveStatus) -> int:
        status.update(50, 12)  # wrong
        status.update(share=50)  # wrong
        status.warn(["a", "list"])  # wrong
        for row in status.track([1, 2, 3]):
            row.upper()  # wrong
        return 1


@task
def clean(status: LiveStatus) -> None:
    status.advance()  # wrong


def use(status: TaskStatus) -> str:
    Retry(attempts="3")  # wrong
    BadTask.initiate({}, owner=7)  # wrong
    clean.initiate({}, colour="red")  # wrong
    TaskStatus.get(["a", "list"])  # wrong
    TaskStatus.find(state=3)  # wrong
    state: State = status.percent  # wrong
    ForkTask("app")  # wrong
    return status.id  # wrong
