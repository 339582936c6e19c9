"""The interpreter of a supervisor: found wherever Python runs, and named alike however it was called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from forktask.errors import LaunchError
from forktask.host.machine import interpreter

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from forktask.host import supervisor_key
from forktask.host.machine import interpreter
print(supervisor_key(application="shop:app", database_url="", version="", settings_digest=""))
print(interpreter(), sys.executable, sys.prefix)
"""


def told(executable: str, folder: Path) -> list[str]:
    """Run the program; return the supervisor's names, then paths."""
    done = subprocess.run(
        [executable, "-P", "-c", PROGRAM],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_however_the_interpreter_is_called_it_has_the_same_supervisor(tmp_path: Path) -> None:
    names, paths = told(sys.executable, tmp_path)
    folder, name = os.path.split(sys.executable)
    for called in (os.path.relpath(sys.executable, tmp_path), f"{folder}/../bin/./{name}", f"{folder}//{name}"):
        other, others = told(called, tmp_path)
        assert other == names, (paths, others)
        assert others.split()[0] == sys.executable


def test_a_link_to_the_interpreter_stays_a_link_and_one_on_the_way_is_followed_before_two_dots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "environment" / "bin" / "deep").mkdir(parents=True)
    link = tmp_path / "environment" / "bin" / "python3"
    link.symlink_to(os.path.realpath(sys.executable))
    (tmp_path / "short").symlink_to(tmp_path / "environment" / "bin" / "deep")
    monkeypatch.chdir(tmp_path)
    for called in ("environment/bin/python3", "./environment/../environment/bin/python3", "short/../python3"):
        monkeypatch.setattr(sys, "executable", called)
        assert interpreter() == str(link)


def test_the_interpreter_is_found_where_another_program_embeds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert interpreter() == sys.executable
    embedding = tmp_path / "uwsgi_python3"
    embedding.write_text("")
    embedding.chmod(0o755)
    for executable in (str(embedding), "/no/such/python3", "", None):
        monkeypatch.setattr(sys, "executable", executable)
        found = interpreter()
        assert os.path.dirname(found) == os.path.join(sys.prefix, "bin")
        prefix = subprocess.check_output([found, "-c", "import sys; print(sys.prefix)"], text=True)
        assert prefix.strip() == sys.prefix


def test_no_interpreter_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/opt/frozen-program")
    for prefix in ("prefix", "exec_prefix", "base_prefix"):
        monkeypatch.setattr(sys, prefix, "/nowhere")
    with pytest.raises(LaunchError, match="no Python interpreter under /nowhere"):
        interpreter()
