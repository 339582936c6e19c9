"""What a server is told to serve: it imports more than the module that makes the application."""

from __future__ import annotations

from single import app
from zoo_report import report, task


@task
def entrance_task() -> None: ...


if __name__ == "__main__":
    print(report(app))
