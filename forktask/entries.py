"""Recurring tasks that are no code: entries of a file, or what a command was told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from forktask import registry
from forktask.definition import TaskDefinition
from forktask.errors import EnqueueError, ScheduleError
from forktask.jsonvalues import plain
from forktask.options import checked_options
from forktask.schedule.declaration import RUN_OPTIONS, Declaration, declaration_of, run_options


def declaration_of_entry(entry: object) -> Declaration:
    """Return what an entry says: `task`, and by their names what `every`, `cron` and `using` take.

    Raises:
        ScheduleError, SettingsError, UnknownTaskError, EnqueueError: Naming what is wrong.
    """
    if not isinstance(entry, Mapping) or not isinstance(entry.get("task"), str):
        raise ScheduleError(f"{entry!r} names no task; an entry is like "
                            '{"task": "shop.ReportTask", "cron": "0 3 * * *"}')  # fmt: skip
    definition: TaskDefinition = registry.get(entry["task"])
    if not definition.is_stored:
        raise EnqueueError(f"{definition.name} has shell or private arguments, which no table gives back")
    rule = {name: value for name, value in entry.items() if name not in RUN_OPTIONS and name != "task"}
    try:
        options = checked_options({name: value for name, value in entry.items() if name in RUN_OPTIONS})
    except ValueError as error:
        raise ScheduleError(str(error)) from error
    settings = _settings(definition, rule.get("settings"))
    return declaration_of(definition.name, rule, settings=settings, options=run_options(dict(options)))


def _settings(definition: TaskDefinition, given: Any) -> Any:
    raw = plain({} if given is None else given, "settings")
    try:
        parsed = definition.parse_settings(raw)
    except ValidationError as error:
        raise ScheduleError(f"settings={raw!r} are refused: {error.errors()[0]['msg']}") from error
    return plain(parsed.model_dump(mode="json"), "settings") if isinstance(parsed, BaseModel) else raw
