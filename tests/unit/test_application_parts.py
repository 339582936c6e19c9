"""References taken apart, errors that name the fix, and what an import defines."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from flask import Flask, current_app
from werkzeug.middleware.proxy_fix import ProxyFix

from forktask import application
from forktask.application.loading import Reference, parse
from forktask.application.source import defined_on_import
from forktask.errors import ApplicationNotFoundError


class Application:
    """As much of a Flask application as the core knows."""

    import_name = __name__

    def app_context(self) -> None: ...

    def wsgi_app(self) -> None: ...


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    """Return a function that writes a module and makes it importable."""
    monkeypatch.syspath_prepend(str(tmp_path))
    written: list[str] = []

    def write(name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(source)
        written.append(name)

    yield write
    for name in written:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("reference", "module", "path", "expression"),
    [
        ("pkg.web:app", "pkg.web", None, "app"),
        ("pkg:create_app('a:b')", "pkg", None, "create_app('a:b')"),
        ("pkg:", "pkg", None, ""),
        ("pkg", "pkg", None, None),
        ("file:/a/my-app.py:app", "my-app", "/a/my-app.py", "app"),
        ("file:/a:b/app.py:create_app('c:d', key={'e': 1})", "app", "/a:b/app.py", "create_app('c:d', key={'e': 1})"),
        ("file:/a:b/app.py:", "app", "/a:b/app.py", ""),
        ("file:/a/app.wsgi", "app", "/a/app.wsgi", None),
    ],
)
def test_a_reference_comes_apart(reference: str, module: str, path: str | None, expression: str | None) -> None:
    assert parse(reference) == Reference(module=module, path=path, expression=expression)


FACTORIES = """
class App:
    def app_context(self): ...
made = App()
def plain(): return made
def create_app(first="a", *, second=2):
    app = App()
    app.got = (first, second)
    return app
def wsgi(environ, start_response): ...
"""


def test_attributes_and_factories_are_loaded(module: Any) -> None:
    module("loaded_one", FACTORIES)
    assert application.load("loaded_one:") is None
    made = sys.modules["loaded_one"].made
    assert application.load("loaded_one:made") is made
    assert application.load("loaded_one:plain") is made
    assert application.load("loaded_one:create_app('x', second=[1, {'y': None}])").got == ("x", [1, {"y": None}])
    assert application.load("loaded_one").got == ("a", 2)
    assert application.load("loaded_one:wsgi") is sys.modules["loaded_one"].wsgi


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("no_such_module:app", "no module is called no_such_module"),
        ("loaded_two.deeper:app", "no module is called loaded_two.deeper"),
        ("loaded_two:absent", "importing loaded_two gives no absent"),
        ("loaded_two:create_app(open('x'))", "literal arguments"),
        ("loaded_two:1 + 1", "literal arguments"),
        ("empty_module", "has neither app"),
        ("leaving:app", "ends the interpreter when it is imported"),
        ("file:/no/such.py:app", "there is no file /no/such.py"),
        (":app", "is no name of a module"),
    ],
)
def test_a_wrong_reference_says_what_is_wrong(module: Any, reference: str, told: str) -> None:
    module("loaded_two", FACTORIES)
    module("empty_module", "")
    module("leaving", "raise SystemExit(0)")
    with pytest.raises(ApplicationNotFoundError, match=r"FORKTASK_APP|__main__") as caught:
        application.load(reference)
    assert told in str(caught.value)


def test_errors_of_the_application_pass_unchanged(module: Any) -> None:
    module("broken", "import absent_library")
    with pytest.raises(ModuleNotFoundError, match="absent_library"):
        application.load("broken:app")


def test_a_file_called_like_a_module_in_use_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "json.py"
    script.write_text("app = 1")
    with pytest.raises(ApplicationNotFoundError, match="rename the file"):
        application.load(f"file:{script}:app")
    assert "dumps" in vars(sys.modules["json"])


def test_a_file_imports_what_stands_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "beside_the_file.py").write_text("app = object()")
    script = tmp_path / "a-file.py"
    script.write_text("from beside_the_file import app")
    assert application.load(f"file:{script}:app") is sys.modules.pop("beside_the_file").app
    del sys.modules["a-file"]


def test_a_file_whose_import_failed_is_imported_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    script = tmp_path / "failing-file.py"
    script.write_text("1 / 0")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            application.load(f"file:{script}:app")


def test_the_mark_that_stops_app_run_is_gone_after_the_import(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLASK_RUN_FROM_CLI", raising=False)
    module("marked", "import os\nmark = os.environ['FLASK_RUN_FROM_CLI']\napp = object()")
    application.load("marked:app")
    assert sys.modules["marked"].mark == "true"
    assert "FLASK_RUN_FROM_CLI" not in os.environ


def test_an_application_is_found_under_middleware() -> None:
    app = Application()

    class Slotted:
        __slots__ = ("inner",)

        def __call__(self) -> None: ...

    slotted = Slotted()
    slotted.inner = app.wsgi_app  # type: ignore[attr-defined]
    assert application.unwrap(slotted) is app
    assert application.unwrap(SimpleNamespace(app=app)) is None, "an extension is no middleware: it is told later"
    assert application.unwrap(Application) is None


def test_the_proxy_of_the_current_application_is_no_place_of_it() -> None:
    app = Flask(__name__)
    app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    with app.app_context():
        assert application.unwrap(current_app) is None


@pytest.mark.parametrize(
    ("source", "defined"),
    [
        ("app = make()", True),
        ("if sys:\n  app = make()", True),
        ("try:\n  from x import app\nexcept ImportError:\n  pass", True),
        ("from x import *", True),
        ("with x as app: pass", True),
        ("def app(): ...", True),
        ("import app.part", True),
        ("if __name__ == '__main__':\n  pass\nelse:\n  app = make()", True),
        ("if __name__ != '__main__':\n  app = make()", True),
        ("if '__main__' == __name__:\n  app = make()", False),
        ("if __name__ == '__main__' and x:\n  app = make()", False),
        ("def f():\n  global app\n  app = make()", False),
        ("app = None", False),
        ("app: object", False),
        ("other = app", False),
    ],
)
def test_what_an_import_defines_is_read_from_the_source(
    module: Any, tmp_path: Path, source: str, defined: bool
) -> None:
    module("read_source", source)
    found = ModuleType("read_source")
    found.__file__ = str(tmp_path / "read_source.py")
    assert defined_on_import(found, "app") is defined
