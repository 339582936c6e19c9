"""The settings of forktask: one frozen dataclass, checked as a whole."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from forktask.errors import ConfigurationError
from forktask.states import StartMethod

PREFIX = "FORKTASK_"
OTHER_NAMES = frozenset({"FORKTASK_DEBUG_RUNNER"})
"""Environment variables with our prefix that are no settings."""

DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def default_max_running() -> int:
    """Return four tasks a core, at least eight: keeps a small machine alive, most tasks wait for I/O."""
    return max(8, 4 * (os.cpu_count() or 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings. Each is `FORKTASK_` + its name in capitals, in `app.config` or the environment.

    Times are seconds. `app.config` wins over the environment.
    """

    database_url: str = ""
    """SQLAlchemy URL; empty: `instance/forktask.sqlite` of the application."""
    start_method: StartMethod = StartMethod.FORKSERVER
    """How tasks start unless they say otherwise: forkserver, fork, spawn or inline."""
    app: str = ""
    """What the runner imports: `module:attribute` or `module:factory()`; empty: found by itself."""
    version: str = ""
    """Version of the code; empty: a stamp of the application's `.py` files."""
    max_running: int = 0
    """Most tasks at once on this host; 0: four a core, at least eight."""
    spare_runners: int = 1
    """Runners that are forked ahead and wait."""
    sample_interval: float = 0.25
    """How often progress is written to the table."""
    heartbeat_interval: float = 5.0
    """How often a supervisor writes that it lives."""
    lost_after: float = 30.0
    """Silence of a supervisor on another host after which its tasks are lost."""
    stop_timeout: float = 5.0
    """Grace between asking, SIGTERM and SIGKILL."""
    idle_exit: float = 300.0
    """How long a supervisor stays without web process and runner."""
    runtime_dir: str = ""
    """Private directory of the supervisor's socket; empty: under XDG_RUNTIME_DIR or the temporary directory."""
    log_limit: int = 1024 * 1024
    """Most bytes of captured output an attempt."""
    log_level: str = "INFO"
    """Least level of captured logging and of the supervisor's own log."""
    url_prefix: str = "/forktask"
    """Where the blueprint is mounted."""
    poll_interval: float = 1.0
    """How often a widget asks."""

    def __post_init__(self) -> None:
        problems = [
            f"{PREFIX}{name.upper()}={getattr(self, name)!r} {problem}"
            for name, check in CHECKS.items()
            if (problem := check(getattr(self, name)))
        ]
        if problems:
            raise ConfigurationError(problems)
        if not self.max_running:
            object.__setattr__(self, "max_running", default_max_running())


def _positive(value: float) -> str:
    return "" if value > 0 else "must be more than 0"


def _not_negative(value: float) -> str:
    return "" if value >= 0 else "must not be negative"


def _database(value: str) -> str:
    if not value:
        return ""
    scheme, separator, rest = value.partition("://")
    kind = scheme.partition("+")[0]
    if not separator or kind not in ("sqlite", "postgresql", "mysql", "mariadb"):
        return "is no URL of SQLite, PostgreSQL or MariaDB"
    if kind == "sqlite" and (rest in ("", "/", "/:memory:") or "mode=memory" in rest):
        return "is a database in memory, which no other process can see; name a file"
    return ""


CHECKS: dict[str, Callable[[Any], str]] = {
    "database_url": _database,
    "max_running": _not_negative,
    "spare_runners": _not_negative,
    "sample_interval": _positive,
    "heartbeat_interval": _positive,
    "lost_after": _positive,
    "stop_timeout": _not_negative,
    "idle_exit": _not_negative,
    "log_limit": _not_negative,
    "log_level": lambda level: "" if level in LEVELS else f"must be one of {', '.join(LEVELS)}",
    "url_prefix": lambda prefix: (
        "" if prefix.startswith("/") and prefix != "/" else "must start with / and name a path"
    ),
    "poll_interval": _positive,
}


def load(config: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
    """Return the settings that `config` (an `app.config`) and the environment give.

    Raises:
        ConfigurationError: Naming every wrong value and every unknown name.
    """
    names = {PREFIX + field.name.upper(): field.name for field in fields(Settings)}
    problems = [_unknown(name, names) for name in _unknown_names(config, environ, names)]
    values: dict[str, Any] = {}
    for key, name in names.items():
        raw = config.get(key, environ.get(key))
        if raw is None or raw == "":
            continue
        try:
            values[name] = _convert(name, raw)
        except (TypeError, ValueError) as error:
            problems.append(f"{key}={raw!r} {error}")
    if problems:
        raise ConfigurationError(problems)
    return Settings(**values)


def _unknown_names(config: Mapping[str, Any], environ: Mapping[str, str], names: Mapping[str, str]) -> list[str]:
    return sorted(
        key for key in {*config, *environ} if key.startswith(PREFIX) and key not in names and key not in OTHER_NAMES
    )


def _unknown(name: str, names: Mapping[str, str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f"{name} is no setting" + (f"; did you mean {near[0]}?" if near else "")


def _convert(name: str, raw: Any) -> Any:
    default: Any = Settings.__dataclass_fields__[name].default
    if isinstance(default, StartMethod):
        try:
            return StartMethod(raw)
        except ValueError:
            raise ValueError(f"must be one of {', '.join(StartMethod)}") from None
    if name == "database_url":
        return normalise_url(str(raw))
    if name == "log_level":
        return str(raw).upper()
    if isinstance(raw, bool):
        raise ValueError(f"must be {_kind(default)}")
    try:
        return type(default)(raw)
    except (TypeError, ValueError):
        raise ValueError(f"must be {_kind(default)}") from None


def _kind(default: Any) -> str:
    return {int: "a whole number", float: "a number of seconds", str: "text"}[type(default)]


def normalise_url(url: str) -> str:
    """Return `url` with a driver named and an SQLite path made absolute.

    >>> normalise_url("postgres://host/db")
    'postgresql+psycopg://host/db'
    """
    scheme, separator, rest = url.partition("://")
    if scheme in DRIVERS:
        return DRIVERS[scheme] + separator + rest
    if scheme == "sqlite" and rest.startswith("/") and not rest.startswith("/:") and len(rest) > 1:
        path, mark, query = rest[1:].partition("?")
        return f"sqlite:///{Path(path).absolute()}{mark}{query}"
    return url
