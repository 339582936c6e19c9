"""Task names do not depend on how the program was started."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from forktask import registry
from forktask.errors import UnknownTaskError

PROGRAM = """
from forktask.registry import importable_from_path, task_name
import sys

class Import:
    class Inner: pass

if __name__ == "__main__" or True:
    print(task_name(Import.__module__, Import.__qualname__), importable_from_path(sys.modules[__name__]))
"""


@pytest.fixture(autouse=True)
def no_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_tasks", {})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(PROGRAM)
    (tmp_path / "company").mkdir()
    (tmp_path / "company" / "__init__.py").touch()
    (tmp_path / "company" / "shop.py").write_text(PROGRAM)
    return tmp_path


def python(folder: Path, *arguments: str) -> str:
    environ = {**os.environ, "PYTHONPATH": str(Path(registry.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["shop.py"], "shop.Import True"),
        (["./shop.py"], "shop.Import True"),
        (["-m", "shop"], "shop.Import True"),
        (["-c", "import shop"], "shop.Import True"),
        (["-m", "company.shop"], "company.shop.Import False"),
        (["-c", "import company.shop"], "company.shop.Import False"),
    ],
)
def test_the_name_is_the_one_under_which_another_process_imports_it(
    folder: Path, arguments: list[str], name: str
) -> None:
    assert python(folder, *arguments) == name


def test_a_program_without_a_file_keeps_its_name(folder: Path) -> None:
    assert python(folder, "-c", PROGRAM) == "__main__.Import False"


@pytest.fixture
def uwsgi_module(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("uwsgi_file_shop_py")
    module.__file__ = str(folder / "shop.py")
    module.__spec__ = ModuleSpec("uwsgi_file_shop_py", None)
    monkeypatch.setitem(sys.modules, "uwsgi_file_shop_py", module)
    return module


def test_a_file_that_uwsgi_loads_has_the_name_of_the_module(uwsgi_module: ModuleType) -> None:
    assert registry.task_name(uwsgi_module.__name__, "Import") == "shop.Import"


def test_a_module_that_is_gone_keeps_its_name() -> None:
    assert registry.stable_module_name("uwsgi_file_nowhere_py") == "uwsgi_file_nowhere_py"


def test_a_module_of_the_same_name_elsewhere_is_not_taken_for_the_file(
    folder: Path, uwsgi_module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not registry.importable_from_path(uwsgi_module)
    monkeypatch.syspath_prepend(str(folder))
    assert registry.importable_from_path(uwsgi_module)
    (folder / "first").mkdir()
    (folder / "first" / "shop.py").touch()
    monkeypatch.syspath_prepend(str(folder / "first"))
    assert not registry.importable_from_path(uwsgi_module)


def test_a_file_whose_name_is_no_identifier_cannot_be_imported(uwsgi_module: ModuleType, folder: Path) -> None:
    uwsgi_module.__file__ = str(folder / "my-shop.py")
    assert not registry.importable_from_path(uwsgi_module)


def test_nothing_is_imported_to_see_whether_a_file_can_be(
    uwsgi_module: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(folder))
    uwsgi_module.__file__ = str(folder / "company.old.py")
    assert not registry.importable_from_path(uwsgi_module)
    assert "company" not in sys.modules


def test_tasks_are_found_by_name() -> None:
    task = object()
    registry.register("shop.Import", task)
    assert registry.find("shop.Import") is registry.get("shop.Import") is task
    assert registry.find("shop.Export") is None


def test_a_later_definition_replaces_the_earlier() -> None:
    registry.register("shop.Import", "old")
    registry.register("shop.Import", "new")
    assert registry.get("shop.Import") == "new"
    assert registry.names() == ["shop.Import"]


def test_names_are_sorted() -> None:
    for name in ("b.T", "c.T", "a.T"):
        registry.register(name, name)
    assert registry.names() == ["a.T", "b.T", "c.T"]


def test_an_unknown_name_is_refused_with_near_ones() -> None:
    registry.register("shop.ImportTask", 1)
    registry.register("mail.Send", 2)
    with pytest.raises(UnknownTaskError, match=r"'shop.ImportTsk'.*did you mean shop.ImportTask\?") as caught:
        registry.get("shop.ImportTsk")
    assert (caught.value.name, caught.value.near) == ("shop.ImportTsk", ("shop.ImportTask",))
    assert isinstance(caught.value, LookupError)
