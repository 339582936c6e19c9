"""The stamp of the code changes when a program would."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from forktask import application


def stamp_of(root: Path) -> str:
    return application.code_stamp(str(root))


def test_the_stamp_changes_with_the_code_only(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    code = tmp_path / "pkg" / "code.py"
    code.write_text("a = 1")
    first = stamp_of(tmp_path)
    for folder in (".git", "__pycache__", "node_modules", "instance", "static", "venv/lib"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "other.py").write_text("")
    (tmp_path / "venv" / "pyvenv.cfg").write_text("")
    (tmp_path / "data.csv").write_text("1")
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere")
    assert stamp_of(tmp_path) == first
    os.utime(code, ns=(1, 1))
    second = stamp_of(tmp_path)
    assert second != first
    code.write_text("a = 12")
    os.utime(code, ns=(1, 1))
    assert stamp_of(tmp_path) != second


def test_the_stamp_follows_no_link_to_a_folder(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "link").symlink_to(outside)
    (root / "circle").symlink_to(root)
    first = stamp_of(root)
    (outside / "code.py").write_text("")
    assert stamp_of(root) == first


def test_the_stamp_of_a_release_is_its_own_behind_the_same_link(tmp_path: Path) -> None:
    for release in ("1", "2"):
        (tmp_path / release).mkdir()
        (tmp_path / release / "code.py").write_text("")
        os.utime(tmp_path / release / "code.py", ns=(1, 1))
    link = tmp_path / "current"
    link.symlink_to("1")
    first = stamp_of(link)
    link.unlink()
    link.symlink_to("2")
    assert stamp_of(link) != first


def test_the_stamp_stops_in_a_huge_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forktask.application.stamp.MOST_ENTRIES", 3)
    for name in "abc":
        (tmp_path / f"{name}.py").write_text("")
    first = stamp_of(tmp_path)
    (tmp_path / "d.py").write_text("")
    assert stamp_of(tmp_path) == first
    (tmp_path / "0.py").write_text("")
    assert stamp_of(tmp_path) != first
