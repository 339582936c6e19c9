"""What a limit may be, and what is counted together under it."""

from __future__ import annotations

from typing import Any

import pytest

from forktask.errors import SettingsError
from forktask.limit import NAME_LIMIT, Limit
from forktask.line import lane_of, line_of

SETTINGS = {"customer": 7, "to": {"host": "a.example"}}


def name(key: Any, settings: Any = SETTINGS, owner: str | None = "bob", task: str = "shop.Import") -> str:
    return Limit(running=1, key=key).name(task, settings, owner)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({}, "say running, or rate and per"),
        ({"running": 0}, "running is 0"),
        ({"running": True}, "running is True"),
        ({"rate": 1.5}, "rate is 1.5"),
        ({"rate": 1, "per": 0}, "per is 0"),
        ({"rate": 1, "per": float("nan")}, "per is nan"),
        ({"rate": 1001, "per": 1.0}, "at most 1000 a second"),
        ({"running": 1, "key": ""}, "key is ''"),
        ({"running": 1, "key": "a\n"}, "key is"),
        ({"running": 1, "key": "x" * 101}, "key is"),
        ({"running": 1, "key": 7}, "key is 7"),
    ],
)
def test_a_limit_that_is_none_is_refused_by_name(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Limit(**wrong)


def test_what_is_counted_together_has_one_name() -> None:
    assert name(None) == name(None, {}, None) == "shop.Import"
    assert name("owner") != name("owner", owner="eve")
    assert name("settings.customer") == name("settings.customer", {"customer": 7}, None)
    assert name("settings.customer") != name("settings.customer", {"customer": "7"})
    assert name("settings.to.host") == name("settings.to.host", {"to": {"host": "a.example"}})
    assert name("settings.to") != name("settings.to.host")
    assert name(lambda settings: settings["to"]["host"]) != name(lambda settings: "b.example")
    assert name("printer") == name("printer", task="shop.Other") == "printer"
    others = {name("settings.customer", task="shop.Other"), name("owner", task="shop.Other"), name(None, task="b")}
    assert not others & {name("settings.customer"), name("owner"), name(None)}


def test_a_name_fits_its_column_and_stays_its_own() -> None:
    long = [name("owner", owner="é" * 200 + end) for end in "ab"]
    assert len(set(long)) == 2
    assert all(len(one) <= NAME_LIMIT and one.isascii() for one in long)
    assert len(name(None, task="t" * 255)) <= NAME_LIMIT


@pytest.mark.parametrize("key", ["settings.nothing", "settings.to.nothing", "settings.customer.name"])
def test_a_value_that_is_missing_is_named(key: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{key} is missing"):
        name(key)


def test_an_owner_that_is_missing_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^owner is missing"):
        name("owner", owner=None)


def test_a_function_that_returns_no_text_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^limit\.key is 7"):
        name(lambda settings: settings["customer"])


def test_a_limit_has_a_line_of_its_own() -> None:
    assert (line_of("mail", None), line_of("mail", "mail"), line_of(None, None)) == ("mail", ":mail", None)
    assert lane_of(None) == "" != lane_of("bob") != lane_of("eve")
