"""Whether the settings will do: where each comes from, and what is found with them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from forktask import host, registry
from forktask.config import PREFIX, Settings
from forktask.errors import ForkTaskError
from forktask.masking import masked
from forktask.runtime import Runtime
from forktask.store import StoreRefusedError
from forktask.store.schema import differences


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at; `problem` is empty where it will do."""

    what: str
    value: str
    origin: str = ""
    problem: str = ""

    def as_json(self) -> dict[str, str]:
        """Return it for programs."""
        return asdict(self)


def checks(source: Runtime) -> list[Check]:
    """Return every setting, and what is found with them."""
    config: Mapping[str, Any] = getattr(source.application, "config", {})
    return [*_settings(source.settings, config), *_found(source)]


def _settings(settings: Settings, config: Mapping[str, Any]) -> Iterator[Check]:
    for field in fields(Settings):
        key = PREFIX + field.name.upper()
        origin = "app.config" if config.get(key) else "environment" if os.environ.get(key) else "default"
        yield Check(what=key, value=str(masked(str(getattr(settings, field.name)))), origin=origin)


def _found(source: Runtime) -> Iterator[Check]:
    yield _asked("tables", lambda: _tables(source))
    yield _asked("runtime directory", lambda: _directory(source.settings.runtime_dir))
    yield _asked("application", lambda: _application(source))
    yield Check(what="tasks", value=str(len(registry.names())))


def _asked(what: str, ask: Callable[[], str]) -> Check:
    try:
        return Check(what=what, value=ask())
    except ForkTaskError as error:
        return Check(what=what, value="", problem=" ".join(str(error).split()))


def _application(source: Runtime) -> str:
    if source.application is None and not source.settings.app and not registry.names():
        return "none, and so no task: --app names it"
    return source.doorbell.destination.reference


def _directory(configured: str) -> str:
    with host.private_directory(configured) as directory:
        return directory.path


def _tables(source: Runtime) -> str:
    database = source.store.database
    database.expect_tables()
    missing, unknown, indexes = database.with_engine(differences)
    if any("." not in name for name in missing):
        raise StoreRefusedError(f"missing: {', '.join(missing)}; forktask init creates them")
    if unknown:
        raise StoreRefusedError(f"of a newer version, which has {', '.join(unknown)} too: update forktask")
    if missing:
        raise StoreRefusedError(f"of an older version, without {', '.join(missing)}: drop and create them")
    if indexes:
        raise StoreRefusedError(f"without the indexes {', '.join(indexes)}: forktask init adds them")
    return database.shown_url
