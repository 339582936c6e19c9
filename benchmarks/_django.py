"""django-tasks, its rows in a database; run as a program it is Django's `manage.py`."""

from __future__ import annotations

import os
import sys
from typing import Any

import django
from _clock import tell
from _order import in_order
from django.conf import settings
from sqlalchemy import make_url

URL = make_url(os.environ["BENCHMARK_DJANGO_URL"])
IS_SQLITE = URL.get_backend_name() == "sqlite"


def _database() -> dict[str, Any]:
    if IS_SQLITE:
        options = {"transaction_mode": "IMMEDIATE", "timeout": 30, "init_command": "PRAGMA journal_mode=WAL"}
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": URL.database, "OPTIONS": options}
    of_server = {"NAME": URL.database, "USER": URL.username, "HOST": URL.host, "PORT": URL.port}
    return {"ENGINE": "django.db.backends.postgresql", "PASSWORD": URL.password or "", **of_server}


if not settings.configured:
    settings.configure(
        DATABASES={"default": _database()},
        INSTALLED_APPS=["django_tasks", "django_tasks_db"],
        TASKS={"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["default"]}},
        USE_TZ=True,
    )
    django.setup()

from django_tasks import task  # noqa: E402 - Django has to be set up before


def _first_line(address: str) -> None:
    tell(address)


def _nothing() -> None:
    """Do nothing at all."""


# As the worker finds them: in the module of this file, under the names of the tasks, and not in `__main__`.
for _function in (_first_line, _nothing):
    _function.__module__ = "_django"
    _function.__name__ = _function.__qualname__ = _function.__name__.removeprefix("_")
first_line = task()(_first_line)
nothing = task()(_nothing)

if __name__ == "__main__" and sys.argv[1] == "leave":
    in_order(sys.argv[2], int(sys.argv[3]), first_line.enqueue, nothing.enqueue)
elif __name__ == "__main__":
    from django.core.management import execute_from_command_line

    execute_from_command_line(["manage.py", *sys.argv[1:]])
