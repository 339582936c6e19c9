"""A user's typed file against the installed wheel: mypy and pyright accept what is right, and find what is wrong."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT, Environment

RIGHT = ROOT / "tests" / "typing" / "user_app.py"
Checker = Callable[[Environment, Path], dict[int, str]]
WRONG = ROOT / "tests" / "typing" / "wrong_app.py"


def mypy(environment: Environment, path: Path) -> dict[int, str]:
    """Return the errors of `mypy --strict` by line."""
    done = environment.run(
        *(sys.executable, "-m", "mypy", "--strict", "--output=json", "--cache-dir", environment.folder / "mypy-cache"),
        *("--python-executable", environment.python, path),
        cwd=path.parent,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    reports = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert all(Path(report["file"]).name == path.name for report in reports), done.stdout
    return {report["line"]: report["message"] for report in reports if report["severity"] == "error"}


def pyright(environment: Environment, path: Path) -> dict[int, str]:
    """Return the errors of pyright, in its strict mode, by line."""
    (path.parent / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    done = environment.run(
        *(sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", environment.python, path),
        cwd=path.parent,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == 1
    return {
        found["range"]["start"]["line"] + 1: found["message"]
        for found in report["generalDiagnostics"]
        if found["severity"] == "error"
    }


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_a_typed_application_passes(checker: Checker, installed: Environment, tmp_path: Path) -> None:
    path = shutil.copy(RIGHT, tmp_path)
    assert checker(installed, Path(path)) == {}


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_mistakes_are_found_and_nothing_else(checker: Checker, installed: Environment, tmp_path: Path) -> None:
    path = Path(shutil.copy(WRONG, tmp_path))
    wrong = {number for number, line in enumerate(path.read_text().splitlines(), 1) if line.endswith("# wrong")}
    assert len(wrong) > 5
    assert checker(installed, path).keys() == wrong
