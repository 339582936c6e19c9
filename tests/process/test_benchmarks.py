"""Each benchmark runs; what it measures is nobody's concern here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
QUESTIONS = sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_benchmark_prints_its_tables(question: str) -> None:
    done = subprocess.run(
        [sys.executable, FOLDER / f"{question}.py"],
        env={**os.environ, "BENCHMARK_SMOKE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"## {question.capitalize()}\n")
    assert "|---|--:|" in done.stdout
