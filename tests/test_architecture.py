"""The shape of the code, read from its syntax trees: layers, sizes, public names, what stands in one place only."""

from __future__ import annotations

import ast
import importlib
import statistics
import subprocess
import sys
from dataclasses import fields
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import forktask
from forktask.config import Settings
from tests.source import Source, calls_of, functions, imports, parameters, public_methods, sources

ROOT = Path(__file__).parents[1]

LAYERS = (
    "errors states clock native barecalls moments retry limit line rules jsonvalues",
    "config dialects registry identity queuename masking selection",
    "columns rows tables indexes sentences estimate progress phases track live bars definition schedule signals",
    "store",
    "application host descriptors memory",
    "descriptors memory forks process usage",
    "channel capture place proof forecast rehearsal current lastword hooks runner",
    "batch kept birth supervisor start spawned",
    "options call starter runtime entries",
    "operations status configured declaration task",
    "cli __main__",
    "forktask",
    "web",
)
"""A module imports only from its own line and those above; `forktask` is the package's own `__init__`."""

LAYER = {name: number for number, names in enumerate(LAYERS) for name in names.split()}

ONE_PLACE = {
    "os.fork": {"forktask/forks.py"},
    "os.forkpty": {"forktask/forks.py"},
    "ctypes.PyDLL": {"forktask/forks.py"},
    "ctypes.pythonapi": {"forktask/forks.py"},
    "os.kill": {"forktask/process.py"},
    "os.killpg": {"forktask/process.py"},
    "signal.pidfd_send_signal": {"forktask/process.py"},
    "psutil": {"forktask/process.py"},
    "time.time": {"forktask/clock.py"},
    "time.sleep": {"forktask/clock.py"},
    "flask": {"web/", "forktask/cli/discovery.py"},
    "flask.render_template_string": set(),  # compiles the template at each call
    "click": {"forktask/cli/", "web/"},
}
"""What is used where; the library elsewhere goes through these."""

ZOO = "tests/zoo.py"
"""One module whatever its length: its name is part of the names of the tasks in it."""

LIBRARY = sources(ROOT, "forktask", "web")
TESTS = sources(ROOT, "tests")
EVERYTHING = [*LIBRARY, *TESTS, *sources(ROOT, "tools", "benchmarks", "demo_app.py")]


def part(module: str) -> str:
    """Return the name in LAYERS to which a module belongs: `forktask.store.claim` is in `store`."""
    return module.split(".")[1] if "." in module else "forktask"


def links() -> list[tuple[Source, str]]:
    """Return which file of the library imports which module of the library."""
    known = {source.module for source in LIBRARY}
    return [(source, name) for source in LIBRARY for name in imports(source, known) if name.split(".")[0] == "forktask"]


def test_every_module_has_a_layer() -> None:
    assert {part(source.module) for source in LIBRARY} <= LAYER.keys(), "say in LAYERS where it belongs"


def test_no_module_imports_from_a_layer_below_it() -> None:
    wrong = [
        f"{source.path} imports {name}"
        for source, name in links()
        if LAYER.get(part(name), 0) > LAYER.get(part(source.module), 99)
    ]
    assert not wrong


def test_no_imports_go_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for source, name in links():
        # `from forktask.store import x` inside the package names its __init__, which imports the parts.
        if not source.module.startswith(f"{name}."):
            graph.setdefault(source.module, set()).add(name)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_the_web_part_imports_public_names_only() -> None:
    """Errors are public where they stand: most of them nobody has to catch."""
    wrong = [
        f"{source.path} imports {name}"
        for source, name in links()
        if part(source.module) == "web" and part(name) not in ("web", "forktask", "errors")
    ]
    assert not wrong


@pytest.mark.parametrize("name", sorted(ONE_PLACE))
def test_what_belongs_in_one_place_is_used_there_only(name: str) -> None:
    used = {source.path for source in LIBRARY if calls_of(source, name)}
    allowed = tuple(ONE_PLACE[name])
    assert not {path for path in used if not path.startswith(allowed)}


def test_tests_sleep_in_wait_until_only() -> None:
    """Tasks of the zoo may take their time: that is what they are for."""
    assert {source.path for source in TESTS if calls_of(source, "time.sleep")} <= {"tests/waiting.py", ZOO}


def test_broad_except_clauses_say_why_they_swallow() -> None:
    wrong = [
        f"{source.path}:{handler.lineno}"
        for source in LIBRARY
        for handler in ast.walk(source.tree)
        if isinstance(handler, ast.ExceptHandler)
        and (handler.type is None or ast.unparse(handler.type) in ("Exception", "BaseException"))
        and not any(isinstance(node, ast.Raise) for node in ast.walk(handler))
        and not any("#" in line for line in source.lines[handler.lineno - 1 : handler.lineno + 1])
    ]
    assert not wrong


def test_files_are_short() -> None:
    measured = [source for source in EVERYTHING if source.path != ZOO]
    assert not {source.path: len(source.lines) for source in measured if len(source.lines) > 300}
    assert statistics.median(len(source.lines) for source in LIBRARY) <= 150


def test_functions_are_short_and_take_few_parameters() -> None:
    long = {
        f"{source.path}:{function.lineno} {function.name}": length
        for source in EVERYTHING
        for function in functions(source)
        if (length := (function.end_lineno or 0) - function.lineno + 1) > 40
    }
    wide = {
        f"{source.path}:{function.lineno} {function.name}": count
        for source in EVERYTHING
        for function in functions(source)
        if (count := parameters(function)) > 6
    }
    assert not long
    assert not wide


def test_classes_have_few_public_methods() -> None:
    assert not {
        f"{source.path} {node.name}": count
        for source in LIBRARY
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef) and (count := public_methods(node)) > 12
    }


@pytest.mark.parametrize("package", ["forktask", "forktask.web"])
def test_public_names_are_few_and_there(package: str) -> None:
    module = importlib.import_module(package)
    names = module.__all__
    assert 0 < len(names) <= 20
    assert len(set(names)) == len(names)
    assert not [name for name in names if not hasattr(module, name)]


def test_settings_are_few() -> None:
    assert len(fields(Settings)) <= 20


def test_importing_the_core_loads_neither_flask_nor_click_nor_databases_that_are_not_used(tmp_path: Path) -> None:
    program = """
import sys, forktask
print(*sorted({"flask", "click", "forktask.web"} & sys.modules.keys()))
import forktask.supervisor.boot
from forktask.store import Store
store = Store(sys.argv[1])
store.create_tables()
print(*sorted(name for name in sys.modules if name in ("sqlalchemy.dialects.mysql", "sqlalchemy.dialects.postgresql")))
"""
    command = [sys.executable, "-c", program, f"sqlite:///{tmp_path}/tasks.sqlite"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []


def test_the_package_is_this_checkout() -> None:
    assert Path(forktask.__file__ or "").parent == ROOT / "forktask"
