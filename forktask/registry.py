"""Which tasks this process knows, under names that do not depend on how it was started."""

from __future__ import annotations

import difflib
import importlib.util
import os
import sys
from types import ModuleType
from typing import Any

from forktask.errors import UnknownTaskError

_tasks: dict[str, Any] = {}


def register(name: str, task: Any) -> None:
    """Make `task` known under `name`; a later definition of the same name replaces the earlier."""
    _tasks[name] = task


def find(name: str) -> Any | None:
    """Return the task of this name, or None."""
    return _tasks.get(name)


def batch_of(name: str) -> int:
    """Return how many rows of a task are executed together at most; 1 for one that is not known."""
    task = _tasks.get(name)
    return 1 if task is None else int(task.batch)


def get(name: str) -> Any:
    """Return the task of this name.

    Raises:
        UnknownTaskError: With near names.
    """
    if (task := _tasks.get(name)) is None:
        raise UnknownTaskError(name, near(name))
    return task


def near(name: str) -> list[str]:
    """Return names that look like this one, or whose last part does."""
    if found := difflib.get_close_matches(name, _tasks, n=2):
        return found
    last = {full.rpartition(".")[2].lower(): full for full in _tasks}
    return [last[one] for one in difflib.get_close_matches(name.rpartition(".")[2].lower(), last, n=2)]


def full_name(name: str) -> str:
    """Return the name of the only task whose name ends like this: `ReportTask` for `shop.ReportTask`."""
    ends = [full for full in _tasks if full.endswith(f".{name}")]
    return ends[0] if name not in _tasks and len(ends) == 1 else name


def tasks() -> list[Any]:
    """Return all registered tasks."""
    return list(_tasks.values())


def names() -> list[str]:
    """Return the names of all registered tasks, sorted."""
    return sorted(_tasks)


def task_name(module: str, qualname: str) -> str:
    """Return the stable name of what is defined as `qualname` in `module`."""
    return f"{stable_module_name(module)}.{qualname}"


def stable_module_name(name: str) -> str:
    """Return the name under which another process imports the module called `name` here.

    `__main__` is the module that was run; uWSGI loads a file as `uwsgi_file_…`.
    """
    if name != "__main__" and not name.startswith("uwsgi_file_"):
        return name
    module = sys.modules.get(name)
    if module is None:
        return name
    spec = getattr(module, "__spec__", None)
    if name == "__main__" and spec is not None:
        return str(spec.name)
    return _stem(module) or name


def _stem(module: ModuleType) -> str:
    path = getattr(module, "__file__", None)
    return os.path.splitext(os.path.basename(path))[0] if path else ""


def importable_from_path(module: ModuleType) -> bool:
    """Return True if importing the stem of the module's file finds that very file."""
    path = getattr(module, "__file__", None)
    stem = _stem(module)
    if not path or not stem.isidentifier():
        return False
    try:
        spec = importlib.util.find_spec(stem)
    except (ImportError, ValueError):
        return False
    return bool(spec and spec.origin and os.path.exists(spec.origin) and os.path.samefile(spec.origin, path))
