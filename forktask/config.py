"""The settings of forktask: one frozen dataclass, checked as a whole."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from math import inf
from pathlib import Path
from typing import Any

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from forktask import dialects
from forktask.errors import ConfigurationError
from forktask.states import StartMethod

PREFIX = "FORKTASK_"
OTHER_NAMES = frozenset({"FORKTASK_DEBUG_RUNNER", "FORKTASK_SUPERVISOR_ID"})
"""Environment variables with our prefix that are no settings."""

DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
KINDS = ("sqlite", "postgresql", "mysql", "mariadb")
NO_URL = "is no URL of SQLite, PostgreSQL or MariaDB"
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
    max_wait: float = 10.0
    """Longest time that a request may wait for the end of a task."""

    def __post_init__(self) -> None:
        if problems := _wrong({name: getattr(self, name) for name in CHECKS}):
            raise ConfigurationError(problems)
        object.__setattr__(self, "start_method", StartMethod(self.start_method))
        if not self.max_running:
            object.__setattr__(self, "max_running", default_max_running())


def _positive(value: float) -> str:
    return "" if 0 < value < inf else "must be more than 0 and finite"


def _not_negative(value: float) -> str:
    return "" if 0 <= value < inf else "must be finite and not negative"


def _database(value: str) -> str:
    if not value:
        return ""
    try:
        url = make_url(value)
    except ArgumentError:
        return NO_URL
    except ValueError:
        return "has a port that is no number; in a password @ is written %40"
    if url.get_backend_name() not in KINDS:
        return NO_URL
    if url.port is not None and not 0 < url.port < 65536:
        return "has a port that is not between 1 and 65535"
    return _driver(url) or (_sqlite(url) if url.get_backend_name() == "sqlite" else _server(url))


def _driver(url: URL) -> str:
    dialects.part(url.get_backend_name())
    try:
        dialect = url.get_dialect()
        dialect.import_dbapi()
    except NoSuchModuleError:
        return f"has a driver that SQLAlchemy does not know; leave out +{url.drivername.partition('+')[2]}"
    except ImportError as error:
        return f"has a driver that is not installed here: {error}"
    return "has an asynchronous driver, which runs in an event loop only" if dialect.is_async else ""


def _sqlite(url: URL) -> str:
    if url.host or url.username or url.port:
        return "names a host; a relative path follows three slashes, an absolute one four"
    if url.database in (None, "", ":memory:", "file::memory:") or url.query.get("mode") == "memory":
        return "is a database in memory, which no other process can see; name a file"
    return ""


def _server(url: URL) -> str:
    # Without a host it is the local server; a name may stand in the query, or in a file or service that it names.
    if url.get_backend_name() != "postgresql" and not url.database and not url.query:
        return "names no database; it follows the host and a slash"
    return ""


CHECKS: dict[str, Callable[[Any], str]] = {
    "database_url": _database,
    "start_method": lambda method: "" if method in tuple(StartMethod) else f"must be one of {', '.join(StartMethod)}",
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
        ""
        if prefix.startswith("/") and not prefix.endswith("/")
        else "must start with /, name a path and not end with /"
    ),
    "poll_interval": _positive,
    "max_wait": _not_negative,
}


def _wrong(values: Mapping[str, Any]) -> list[str]:
    return [
        _said(PREFIX + name.upper(), value, problem)
        for name, value in values.items()
        if name in CHECKS and (problem := CHECKS[name](value))
    ]


def _said(key: str, value: Any, problem: object) -> str:
    # Errors end in logs and on screens; the password of a URL must not, however wrong the URL is.
    shown = re.sub(r"(:/{0,2}|//).*@", r"\1***@", repr(value))
    shown = re.sub(r"(passw(?:or)?d=)[^&]*", r"\1***", shown)
    return f"{key}={shown} {problem}"


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
            problems.append(_said(key, raw, error))
    problems += _wrong(values)
    if problems:
        raise ConfigurationError(problems)
    return Settings(**values)


def _unknown_names(config: Mapping[str, Any], environ: Mapping[str, str], names: Mapping[str, str]) -> list[str]:
    return sorted(
        key for key in {*config, *environ} if key.startswith(PREFIX) and key not in names and key not in OTHER_NAMES
    )


def _unknown(name: str, names: Mapping[str, str]) -> str:
    # Compared without the prefix, in which all are alike.
    near = difflib.get_close_matches(name.removeprefix(PREFIX), [known.removeprefix(PREFIX) for known in names], n=1)
    return f"{name} is no setting" + (f"; did you mean {PREFIX}{near[0]}?" if near else "")


def _convert(name: str, raw: Any) -> Any:
    default: Any = Settings.__dataclass_fields__[name].default
    if isinstance(default, str):
        text = _text(raw)
        return normalise_url(text) if name == "database_url" else text.upper() if name == "log_level" else text
    if isinstance(raw, bool) or (isinstance(default, int) and isinstance(raw, float) and not raw.is_integer()):
        raise ValueError(f"must be {_kind(default)}")
    try:
        return type(default)(raw)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"must be {_kind(default)}") from None


def _text(raw: Any) -> str:
    if hasattr(raw, "render_as_string"):  # a URL of SQLAlchemy, whose str() hides the password
        return str(raw.render_as_string(hide_password=False))
    if isinstance(raw, (str, os.PathLike)):
        return str(os.fspath(raw))
    raise ValueError("must be text")


def _kind(default: Any) -> str:
    return {int: "a whole number", float: "a number of seconds"}[type(default)]


def normalise_url(url: str) -> str:
    """Return `url` with a driver named and an SQLite path made absolute.

    >>> normalise_url("postgres://host/db")
    'postgresql+psycopg://host/db'
    """
    scheme, separator, rest = url.partition("://")
    if scheme in DRIVERS:
        return DRIVERS[scheme] + separator + rest
    if scheme.partition("+")[0] == "sqlite" and re.match(r"/(?!:|file:|\?|$)", rest):
        path, mark, query = rest[1:].partition("?")
        return f"{scheme}:///{Path(path).absolute()}{mark}{query}"
    return url
