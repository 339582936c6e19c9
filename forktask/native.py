"""Python's own modules as they are by themselves, though a server or an application patches them (gevent, eventlet).

Under gevent `subprocess.Popen` would fork the web process, whatever its size and its threads, and wait for a watcher
that only the main thread has. A supervisor waits in the kernel for its runners, and gevent's loop would reap them.
"""

from __future__ import annotations

import functools
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec, module_from_spec
from types import BuiltinFunctionType, ModuleType
from typing import Any

WATCHED = ("os", "select", "selectors", "signal", "socket", "ssl", "time")
"""What the supervisor's loop uses, and what the drivers of its database do."""


@functools.cache
def popen() -> type[subprocess.Popen[bytes]]:
    """Return `subprocess.Popen`; where that is patched, the one of fresh copies of its module and of `os`."""
    if subprocess.Popen.__module__ == "subprocess":
        return subprocess.Popen
    fresh: Any = _fresh("subprocess")
    fresh.os = _fresh("os")
    found: type[subprocess.Popen[bytes]] = fresh.Popen
    return found


def _fresh(name: str) -> ModuleType:
    spec = find_spec(name)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def is_patched() -> bool:
    """Return True if waiting in this process is no longer left to the kernel."""
    return not isinstance(select.select, BuiltinFunctionType)


class Patches:
    """What an application does to the watched modules when it is imported: for its runners, not for the supervisor.

    Make it before the import.
    """

    def __init__(self) -> None:
        self._before = {
            name: {key: value for key, value in vars(sys.modules[name]).items() if callable(value)}
            for name in WATCHED
            if name in sys.modules
        }
        self._patches: dict[str, dict[str, Any]] = {}

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Have the application's code run with its patches, old and new."""
        _give(self._patches)
        try:
            yield
        finally:
            self._patches = {name: _changes(name, values) for name, values in self._before.items()}
            _give(self._before)

    def become_runner(self) -> None:
        """Put them in force for good, in a forked child."""
        _give(self._patches)
        if (gevent := sys.modules.get("gevent")) is not None:
            gevent.reinit()


def _changes(module: str, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the names that have another value now; None for those that are gone."""
    now = vars(sys.modules[module])
    return {key: now.get(key) for key, value in before.items() if now.get(key) is not value}


def _give(values: Mapping[str, Mapping[str, Any]]) -> None:
    for name, values_of_module in values.items():
        now = vars(sys.modules[name])
        for key, value in values_of_module.items():
            if value is None:
                now.pop(key, None)
            else:
                now[key] = value
