"""What may be stored as JSON, and how what may not is refused."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import math
import pathlib
import random
import types
import uuid
from collections import OrderedDict
from typing import Any, NamedTuple

import pytest

from forktask.errors import SettingsError
from forktask.jsonvalues import DEPTH_LIMIT, JSON_LIMIT, plain, to_json


def refused(value: Any, **options: Any) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        to_json(value, "settings", **options)
    return caught.value


class Colour(enum.StrEnum):
    RED = "red"


class Size(enum.IntEnum):
    LARGE = 3


@dataclasses.dataclass
class Point:
    x: int


class Pair(NamedTuple):
    first: int
    second: int


NOT_JSON = {
    "set": {1, 2},
    "frozenset": frozenset({1}),
    "bytes": b"x",
    "bytearray": bytearray(b"x"),
    "memoryview": memoryview(b"x"),
    "datetime": dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
    "date": dt.date(2024, 1, 1),
    "time": dt.time(12, tzinfo=dt.UTC),
    "timedelta": dt.timedelta(1),
    "Decimal": decimal.Decimal("1.5"),
    "UUID": uuid.UUID(int=5),
    "PosixPath": pathlib.PosixPath("/tmp"),
    "complex": 1j,
    "object": object(),
    "type": int,
    "function": refused,
    "generator": (number for number in range(3)),
    "range": range(3),
    "dict_keys": {}.keys(),
    "mappingproxy": types.MappingProxyType({"a": 1}),
    "Point": Point(1),
    "Pair": Pair(1, 2),
    "SettingsError": SettingsError("a", "b"),
}


@pytest.mark.parametrize("kind", NOT_JSON)
def test_what_is_not_json_is_refused_by_kind_and_path(kind: str) -> None:
    error = refused({"rows": [1, {"value": NOT_JSON[kind]}]})
    assert error.path == "settings['rows'][1]['value']"
    assert str(error).startswith("settings['rows'][1]['value'] is a ")
    assert f"{kind}, which is not JSON; " in str(error)


@pytest.mark.parametrize(
    ("kind", "advice"),
    [("set", "sorted"), ("bytes", "path"), ("datetime", "isoformat"), ("object", "id"), ("mappingproxy", "dict(")],
)
def test_the_refusal_says_what_to_pass_instead(kind: str, advice: str) -> None:
    assert advice in str(refused(NOT_JSON[kind]))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_does_not_have_are_refused(value: float) -> None:
    assert str(refused([0.5, value])) == f"settings[1] is {value}, which JSON does not have"


def test_whole_numbers_that_readers_refuse_are_refused() -> None:
    largest = 2**1024 - 1
    assert plain([largest, -largest], "settings") == [largest, -largest]
    assert "beyond 1e308" in str(refused({"n": 2**1024}))
    assert refused({"n": -(10**5000)}).path == "settings['n']"


@pytest.mark.parametrize("key", [1, None, True, 1.5, ("a", 1), b"a", uuid.UUID(int=1)])
def test_keys_that_are_no_text_are_refused(key: object) -> None:
    error = refused({"rows": [{key: 1}]})
    assert error.path == "settings['rows'][0]"
    assert f"has the key {key!r} of type {type(key).__name__}; keys must be text" in str(error)


@pytest.mark.parametrize(
    ("text", "problem"), [("a\0b", "NUL"), ("a\ud800b", "lone surrogate at 1"), ("\udfff", "at 0")]
)
def test_text_that_databases_refuse_is_refused(text: str, problem: str) -> None:
    assert problem in str(refused([text]))
    assert refused([text]).path == "settings[0]"
    assert problem in str(refused({text: 1}))
    assert "key" in str(refused({text: 1}))


def test_a_list_that_contains_itself_is_refused() -> None:
    items: list[Any] = [1]
    items.append(items)
    assert "contains itself" in str(refused({"items": items}))
    mapping: dict[str, Any] = {}
    mapping["self"] = mapping
    assert "contains itself" in str(refused(mapping))


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def test_deep_nesting_is_refused() -> None:
    assert plain(nested(DEPTH_LIMIT), "settings") == nested(DEPTH_LIMIT)
    assert "deep" in str(refused(nested(DEPTH_LIMIT + 1)))


def test_two_megabytes_of_text_are_refused_with_their_size() -> None:
    error = refused({"text": "x" * 2_000_000})
    assert error.path == "settings"
    assert "is 2000011 bytes as JSON; at most 1048576 are kept" in str(error)


@pytest.mark.parametrize("character", ["x", "é", "€", "😀"])
def test_the_limit_counts_bytes_and_not_characters(character: str) -> None:
    width = len(character.encode())
    fits = character * (100 // width)
    assert to_json(fits, "settings", limit=len(fits.encode()) + 2) == f'"{fits}"'
    assert f"is {len(fits.encode()) + 2} bytes" in str(refused(fits, limit=len(fits.encode()) + 1))


def test_what_just_fits_is_kept() -> None:
    text = "x" * (JSON_LIMIT - 2)
    assert plain(text, "settings") == text


@pytest.mark.parametrize(
    "value",
    [None, True, False, 0, -1, 2**63, 1.5, -0.0, 1e-300, "", 'é😀\n\t"\\\u2028', [], {}, [[]], {"": {"": []}}],
)
def test_json_values_come_back_as_they_were(value: Any) -> None:
    assert plain(value, "settings") == value
    assert type(plain(value, "settings")) is type(value)


def test_what_derives_from_json_kinds_comes_back_plain() -> None:
    value = {"a": (1, 2), "b": Colour.RED, Colour.RED: Size.LARGE, "c": OrderedDict(x=1)}
    back = plain(value, "settings")
    assert back == {"a": [1, 2], "b": "red", "red": 3, "c": {"x": 1}}
    assert [type(item) for item in back.values()] == [list, str, int, dict]


def test_the_text_is_compact_and_not_escaped() -> None:
    assert to_json({"é": [1, "ü"]}, "settings") == '{"é":[1,"ü"]}'


def test_the_name_in_errors_is_the_one_given() -> None:
    with pytest.raises(SettingsError, match=r"^result\['x'\] is a builtins.set"):
        to_json({"x": {1}}, "result")


def test_a_refusal_is_a_value_error() -> None:
    assert isinstance(refused({1}), ValueError)


CHARACTERS = "aA0 \\\"'/\x01\x1f\x7fé€\u2028\ud7ff\ue000\uffff😀\U0010ffff"


def random_value(chance: random.Random, depth: int) -> Any:
    kind = chance.randrange(8 if depth else 6)
    if kind == 6:
        return [random_value(chance, depth - 1) for _ in range(chance.randrange(4))]
    if kind == 7:
        return {random_text(chance): random_value(chance, depth - 1) for _ in range(chance.randrange(4))}
    return (None, True, chance.randrange(-(2**70), 2**70), chance.gauss(0, 1e10), random_text(chance), "")[kind]


def random_text(chance: random.Random) -> str:
    return "".join(chance.choice(CHARACTERS) for _ in range(3))


def test_whatever_is_json_comes_back() -> None:
    chance = random.Random(4711)
    for _ in range(2000):
        value = random_value(chance, 4)
        assert plain(value, "settings") == value
