"""From a reference to the application, in an interpreter that has not imported it yet."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from forktask.errors import ApplicationNotFoundError

USUAL_NAMES = ("app", "application")
USUAL_FACTORIES = ("create_app", "make_app")
"""Where Flask itself looks when it is told a module only."""

IGNORE_RUN = "FLASK_RUN_FROM_CLI"
"""While this is "true", `app.run()` returns at once, so a script without a main guard starts no second server."""

_FILE = re.compile(r"file:(?P<path>.*?)(?::(?P<expression>[^\W\d][\w.]*(?:\(.*\))?)?)?", re.DOTALL)
_NO_WRAPPER = (type, ModuleType, FunctionType, BuiltinFunctionType)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A reference in its parts; `expression` is None where the text names a module only, empty for import only."""

    module: str
    path: str | None
    expression: str | None


def load(reference: str) -> Any:
    """Import what `reference` names and return the application, taken out of middleware that wraps it.

    `app.run()` does nothing meanwhile. Errors of the application's own code pass unchanged.

    Returns:
        None if the reference names a module alone, with a colon at its end.

    Raises:
        ApplicationNotFoundError: There is no such module, attribute or factory, or its module ends the interpreter.
    """
    parts = parse(reference)
    before = os.environ.get(IGNORE_RUN)
    os.environ[IGNORE_RUN] = "true"
    try:
        module = _load_file(parts.path, parts.module) if parts.path else _import(parts.module)
        if parts.expression == "":
            return None
        found = _usual(module) if parts.expression is None else _evaluate(module, parts.expression)
    except SystemExit as error:
        raise ApplicationNotFoundError(
            f"{reference} ends the interpreter when it is imported; "
            "move what runs there under `if __name__ == '__main__':`"
        ) from error
    finally:
        if before is None:
            del os.environ[IGNORE_RUN]
        else:
            os.environ[IGNORE_RUN] = before
    inner = unwrap(found)
    return found if inner is None else inner


def parse(reference: str) -> Reference:
    """Take a reference apart; the path of a file may hold colons."""
    if match := _FILE.fullmatch(reference):
        path = match["path"]
        given = match["expression"] or ("" if reference.endswith(":") else None)
        return Reference(module=os.path.splitext(os.path.basename(path))[0], path=path, expression=given)
    module, colon, expression = reference.partition(":")
    return Reference(module=module, path=None, expression=expression.strip() if colon else None)


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise ApplicationNotFoundError(
            f"no module is called {name} in {os.pathsep.join(sys.path)}; set FORKTASK_APP to one that is there"
        ) from error
    except (TypeError, ValueError) as error:
        if name and not name.startswith("."):
            raise
        raise ApplicationNotFoundError(f"{name!r} is no name of a module; set FORKTASK_APP") from error


def _load_file(path: str, name: str) -> ModuleType:
    """Import a file that no finder finds, under the name that its tasks carry."""
    if (loaded := sys.modules.get(name)) is not None:
        if os.path.realpath(getattr(loaded, "__file__", None) or "") == os.path.realpath(path):
            return loaded
        raise ApplicationNotFoundError(f"{path} is called like the module {name}, which is in use; rename the file")
    if not os.path.isfile(path):
        raise ApplicationNotFoundError(f"there is no file {path}; set FORKTASK_APP to one that is there")
    folder = os.path.dirname(path)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = spec_from_loader(name, SourceFileLoader(name, path))
    if spec is None or spec.loader is None:
        raise ApplicationNotFoundError(f"{path} cannot be imported")
    module = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:  # as `import` does: no half a module stays behind
        del sys.modules[name]
        raise
    return module


def _usual(module: ModuleType) -> Any:
    """Return the application of a module that was named without an attribute, as Flask finds it."""
    for name in USUAL_NAMES:
        if (found := getattr(module, name, None)) is not None and not isinstance(found, ModuleType):
            return found
    for name in USUAL_FACTORIES:
        if callable(factory := getattr(module, name, None)):
            return factory()
    raise ApplicationNotFoundError(
        f"{module.__name__} has neither {' nor '.join(USUAL_NAMES + USUAL_FACTORIES)}; "
        "set FORKTASK_APP to module:attribute or module:factory()"
    )


def _evaluate(module: ModuleType, expression: str) -> Any:
    """Return an attribute of the module, or what the factory named gives for its literal arguments."""
    try:
        node = ast.parse(expression, mode="eval").body
        if not isinstance(node, ast.Call):
            return _called(_attribute(module, node))
        arguments = [ast.literal_eval(argument) for argument in node.args]
        named = {word.arg: ast.literal_eval(word.value) for word in node.keywords if word.arg is not None}
    except (SyntaxError, ValueError) as error:
        raise ApplicationNotFoundError(
            f"{module.__name__}:{expression} is neither an attribute nor a factory with literal arguments; "
            "set FORKTASK_APP to module:attribute, module:factory() or module:factory('argument')"
        ) from error
    return _attribute(module, node.func)(*arguments, **named)


def _attribute(module: ModuleType, node: ast.expr) -> Any:
    match node:
        case ast.Name():
            name, owner = node.id, module
        case ast.Attribute():
            name, owner = node.attr, _attribute(module, node.value)
        case _:
            raise ValueError("no attribute")
    try:
        return getattr(owner, name)
    except AttributeError as error:
        raise ApplicationNotFoundError(
            f"importing {module.__name__} gives no {ast.unparse(node)}; set FORKTASK_APP to one that is there"
        ) from error


def _called(found: Any) -> Any:
    """Return what a factory gives that was named without its parentheses."""
    if not isinstance(found, FunctionType):
        return found
    try:
        inspect.signature(found).bind()
    except TypeError:  # takes arguments: a WSGI application that is a function
        return found
    return found()


def unwrap(found: Any, depth: int = 3) -> Any:
    """Return the application under WSGI middleware (`ProxyFix(app)`, also `ProxyFix(app.wsgi_app)`); None if none."""
    if isinstance(found, _NO_WRAPPER) or type(found).__module__ == "werkzeug.local":
        return None  # a proxy such as `current_app` leads to whatever is current
    if hasattr(type(found), "app_context"):
        return found
    if not depth or not callable(found):
        return None
    for inner in _parts(found):
        if (application := unwrap(inner, depth - 1)) is not None:
            return application
    return None


def _parts(found: Any) -> Iterator[Any]:
    """Yield what an object holds by name; what a bound method is bound to."""
    try:
        yield getattr(found, "__self__", None)
        yield from list(getattr(found, "__dict__", {}).values())
        slots = [name for kind in type(found).__mro__ for name in getattr(kind, "__slots__", ())]
        yield from [getattr(found, name, None) for name in slots]
    except Exception:  # noqa: S110 - attributes of other people's objects may run any code
        pass
