"""What is in the archives, and that the wheel works where the checkout is not."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

from tests.packaging.conftest import ROOT, Archives, Environment

NOT_SHIPPED = ("__pycache__", ".pyc", ".sqlite")


def package_files() -> set[str]:
    """Return the files that a wheel has to hold, under their names in it."""
    names = {
        path.relative_to(ROOT).as_posix()
        for folder in ("forktask", "web")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    return {f"forktask/{name}" if name.startswith("web/") else name for name in names}


def test_wheel_holds_every_file_of_the_package_once(archives: Archives) -> None:
    names = zipfile.ZipFile(archives.wheel).namelist()
    shipped = [name for name in names if ".dist-info/" not in name]
    assert sorted(shipped) == sorted(package_files())


def test_wheel_holds_templates_static_files_and_the_type_marker(archives: Archives) -> None:
    names = zipfile.ZipFile(archives.wheel).namelist()
    assert "forktask/py.typed" in names
    assert "forktask/web/static/forktask.css" in names
    assert "forktask/web/static/forktask.js" in names
    assert "forktask/web/static/htmx.min.js" in names
    assert any(name.startswith("forktask/web/templates/forktask/") for name in names)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_source_archive_builds_the_same_wheel(archives: Archives) -> None:
    from_sdist, direct = (zipfile.ZipFile(path) for path in (archives.wheel, archives.direct))
    assert {info.filename: info.CRC for info in from_sdist.infolist()} == {
        info.filename: info.CRC for info in direct.infolist()
    }
    with tarfile.open(archives.sdist) as archive:
        names = archive.getnames()
    assert not [name for name in names if any(part in name for part in NOT_SHIPPED)]
    assert not [name for name in names if Path(name).parts[1:2] == ("web",)]


def test_wheel_needs_flask_sqlmodel_psutil_and_cronsim_only(archives: Archives) -> None:
    wheel = zipfile.ZipFile(archives.wheel)
    metadata = wheel.read(next(name for name in wheel.namelist() if name.endswith("/METADATA"))).decode()
    needed = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert sorted(line.split()[1].split(">=")[0] for line in needed) == ["cronsim", "flask", "psutil", "sqlmodel"]


def test_installed_package_imports_away_from_the_checkout(installed: Environment, tmp_path: Path) -> None:
    program = "import forktask.web, pathlib; print(pathlib.Path(forktask.__file__).resolve())"
    done = installed.run(installed.python, "-c", program, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(installed.folder.resolve())


def test_installed_application_serves_static_files_and_a_bar(installed: Environment, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APPLICATION)
    done = installed.run(installed.python, "-W", "error", "app.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["200", "200", "completed"]


def test_installed_command_shows_its_help(installed: Environment, tmp_path: Path) -> None:
    done = installed.run(installed.folder / "bin" / "forktask", "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Usage: forktask" in done.stdout


APPLICATION = """
from flask import Flask, render_template_string

from forktask import Task
from forktask.web import ForkTask


class Hello(Task):
    def execute(self, status):
        status.update(50, "Half-way")
        return {"said": "hello"}


app = Flask(__name__)
app.config.update(SECRET_KEY="for this test", FORKTASK_START_METHOD="inline")
ForkTask(app)


@app.post("/")
def start():
    status = Hello.initiate({})
    page = render_template_string("{{ forktask_progress(status) }}", status=status)
    return page + status.state


client = app.test_client()
print(client.get("/forktask/static/forktask.css").status_code)
answer = client.post("/")
print(answer.status_code)
print("completed" if answer.text.endswith("completed") and "<progress" in answer.text else answer.text)
"""
