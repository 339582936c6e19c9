"""The files that pages load."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import forktask.web

STATIC = Path(forktask.web.__file__).parent / "static"
OURS = [*STATIC.glob("forktask*.js"), *STATIC.glob("forktask*.css")]
VENDORED = json.loads((STATIC / "VENDORED.json").read_text())


def test_vendored_files_are_the_ones_that_were_pinned() -> None:
    assert VENDORED
    for name, pin in VENDORED.items():
        content = (STATIC / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == pin["sha256"]
        assert pin["version"].encode() in content


def test_every_script_that_is_not_ours_is_pinned() -> None:
    assert {path.name for path in STATIC.glob("*.js") if path not in OURS} == VENDORED.keys()


def test_our_files_load_nothing_and_evaluate_nothing() -> None:
    for file in OURS:
        text = file.read_text()
        assert not re.search(r"url\(|@import|https?:|\beval\(|new Function|innerHTML\s*=[^=]|\.style\b", text)


def test_our_files_are_small() -> None:
    assert max(file.stat().st_size for file in OURS) < 12_000
