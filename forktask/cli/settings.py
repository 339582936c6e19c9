"""Settings of a task as they are written on a command line."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import click

from forktask.cli.manner import ExitCode, Failure

PAIR = re.compile(r"([^\W\d][\w.-]*)=(.*)", re.DOTALL)
IS_JSON = re.compile(r"\s*([\[{\"]|(true|false|null|-?\d[\d.eE+-]*)\s*$)", re.DOTALL)


def settings_argument(command: Any) -> Any:
    """Add the settings: JSON, `@file`, `-`, or `key=value` any number of times."""
    return click.argument("settings", nargs=-1)(command)


def parsed(words: Sequence[str]) -> Any:
    """Return the settings that are meant; None where none are given."""
    if not words:
        return None
    if len(words) == 1 and (words[0] == "-" or words[0].startswith("@")):
        return _json(_read(words[0].removeprefix("@")), words[0])
    if len(words) == 1 and words[0].lstrip().startswith(("{", "[")):
        return _json(words[0], "SETTINGS")
    return dict(_pair(word) for word in words)


def _pair(word: str) -> tuple[str, Any]:
    """Return name and value; a value that is JSON as such (`5`, `true`, `[1, 2]`, `"05"`), any other as text."""
    found = PAIR.fullmatch(word)
    if found is None:
        raise Failure(f"{word!r} is neither key=value nor JSON, @file or -", ExitCode.USAGE)
    name, text = found[1], found[2]
    if text.startswith("@"):
        return name, _read(text[1:])
    if not IS_JSON.match(text):
        return name, text
    try:
        return name, json.loads(text)
    except ValueError:
        return name, text


def _read(name: str) -> str:
    try:
        with click.open_file(name, encoding="utf-8") as file:
            return str(file.read())
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"cannot read {name}: {getattr(error, 'strerror', None) or error}", ExitCode.USAGE) from error


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Failure(f"{where} is no JSON: {error}", ExitCode.USAGE) from error
