"""What the source of a module says: where it stands, and what importing it would define."""

from __future__ import annotations

import ast
import inspect
import os
import sys
import sysconfig
from collections.abc import Iterator
from types import ModuleType

from forktask.registry import stable_module_name

LIBRARY_FOLDERS = frozenset({"site-packages", "dist-packages"})
UNUSABLE = sys.stdlib_module_names | {"__main__"}
"""Names under which a file cannot be imported, for another module has them."""
STDLIB = sysconfig.get_path("stdlib")


def is_library(path: str | None) -> bool:
    """Return True for a file of the standard library or of an installed package, or for no file."""
    if not path:
        return True
    return path.startswith(STDLIB + os.sep) or not LIBRARY_FOLDERS.isdisjoint(path.split(os.sep))


def import_name(key: str) -> str | None:
    """Return how another interpreter imports the module that is `sys.modules[key]`.

    Returns:
        A module's name; `file:` and its absolute path where no import finds that file; None where neither helps.
    """
    name = stable_module_name(key)
    path = getattr(sys.modules.get(key), "__file__", None)
    if name == "__main__" and path:
        name = _stem(path)
    if name != "__main__" and _found_afresh(name, path):
        return name
    in_package = name.rpartition(".")[0] in sys.modules
    if not path or not os.path.isfile(path) or in_package or _stem(path) in UNUSABLE:
        return None
    return f"file:{os.path.abspath(path)}"


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]


def _found_afresh(name: str, path: str | None) -> bool:
    """Ask the finders, as an interpreter would that has not imported the module yet (`find_spec` looks it up)."""
    parent, _, _ = name.rpartition(".")
    search = getattr(sys.modules.get(parent), "__path__", None) if parent else None
    if parent and search is None:
        return False
    for finder in sys.meta_path:
        find_spec = getattr(finder, "find_spec", None)
        spec = find_spec(name, search) if find_spec is not None else None
        if spec is not None:
            return _same_file(spec.origin, path)
    return False


def _same_file(origin: str | None, path: str | None) -> bool:
    if origin is None or path is None or origin == path:
        return origin == path
    try:
        return os.path.samefile(origin, path)
    except OSError:
        return False


def tree_of(module: ModuleType) -> ast.Module | None:
    """Return the module's syntax tree; None where there is no source."""
    try:
        return ast.parse(inspect.getsource(module))
    except (OSError, TypeError, SyntaxError):
        return None


def has_main_guard(module: ModuleType) -> bool:
    """Return True if the module was written to be imported as well as run."""
    tree = tree_of(module)
    return tree is not None and any(isinstance(node, ast.If) and _is_main_guard(node.test) for node in tree.body)


def defined_on_import(module: ModuleType, name: str) -> bool:
    """Return True if importing the module gives it this attribute.

    What is only assigned under `if __name__ == "__main__":`, by a function with `global`, or from
    another module, is not there in a process that imports it.
    """
    tree = tree_of(module)
    return tree is None or any(_defines(statement, name) for statement in _executed(tree.body))


def _is_main_guard(test: ast.expr) -> bool:
    """Return True for `__name__ == "__main__"`, either way round or as part of a longer condition."""
    return any(
        isinstance(node, ast.Compare)
        and isinstance(node.ops[0], ast.Eq)
        and any(isinstance(side, ast.Name) and side.id == "__name__" for side in (node.left, *node.comparators))
        for node in ast.walk(test)
    )


def _executed(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """Walk the statements that an import executes, with their expressions, but not into functions and classes."""
    for statement in body:
        yield from _nodes(statement)


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
        return
    if isinstance(node, ast.Assign | ast.AnnAssign) and (node.value is None or isinstance(node.value, ast.Constant)):
        return  # `app = None`, to be set by a function
    if isinstance(node, ast.If) and _is_main_guard(node.test):
        yield from _executed(node.orelse)
        return
    for child in ast.iter_child_nodes(node):
        yield from _nodes(child)


def _defines(node: ast.AST, name: str) -> bool:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return node.name == name
        case ast.alias():
            return (node.asname or node.name.partition(".")[0]) in (name, "*")
        case ast.Name(ctx=ast.Store()):
            return node.id == name
    return False
