"""Python files as syntax trees, and what the architecture test asks of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One file."""

    path: str
    """Relative to the checkout; files of `forktask.web` under `web/`."""
    module: str
    lines: list[str]
    tree: ast.Module


def sources(root: Path, *names: str) -> list[Source]:
    """Read all files below the named folders, and the named files; what is missing is left out."""
    found = []
    for name in names:
        paths = [root / name] if name.endswith(".py") else sorted((root / name).rglob("*.py"))
        found += [read(root, path) for path in paths if path.is_file() and not through_link(root, path)]
    return found


def through_link(root: Path, path: Path) -> bool:
    """Return True for the second name of a file: `forktask/web` is a link to `web`."""
    return path.resolve() != root.resolve() / path.relative_to(root)


def read(root: Path, path: Path) -> Source:
    """Read one file."""
    relative = path.relative_to(root)
    parts = relative.with_suffix("").parts
    if parts[0] == "web":
        parts = ("forktask", *parts)
    if parts[-1] == "__init__":
        parts = parts[:-1]
    text = path.read_text(encoding="utf-8")
    return Source(path=relative.as_posix(), module=".".join(parts), lines=text.splitlines(), tree=ast.parse(text))


def imports(source: Source, known: set[str]) -> set[str]:
    """Return the modules that a file imports, anywhere in it.

    Args:
        known: Modules of our own: tells `from forktask import clock`, a module, from a name in `forktask`.
    """
    found = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = absolute(source, node)
            inner = {f"{origin}.{alias.name}" for alias in node.names} & known
            found |= inner
            if len(inner) < len(node.names):
                found.add(origin)
    return found


def absolute(source: Source, node: ast.ImportFrom) -> str:
    """Return the full name of the module from which `node` imports."""
    if not node.level:
        return node.module or ""
    package = source.module.split(".")
    strip = node.level - source.path.endswith("__init__.py")
    return ".".join([*package[: len(package) - strip], *([node.module] if node.module else [])])


def calls_of(source: Source, name: str) -> list[int]:
    """Return the lines that use `name` ("os.fork", "flask"), under whatever alias it was imported."""
    module, _, attribute = name.partition(".")
    aliases = set()
    found = []
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            here = [alias for alias in node.names if alias.name.split(".")[0] == module]
            aliases |= {alias.asname or module for alias in here}
            found += [node.lineno for _ in here if not attribute]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == module and not node.level:
            found += [node.lineno for alias in node.names if not attribute or alias.name in (attribute, "*")]
    for node in ast.walk(source.tree):
        if attribute and isinstance(node, ast.Attribute) and node.attr == attribute:
            found += [node.lineno] if isinstance(node.value, ast.Name) and node.value.id in aliases else []
    return found


def functions(source: Source) -> Iterator[Function]:
    """Yield every function and method."""
    for node in ast.walk(source.tree):
        if isinstance(node, Function):
            yield node


def parameters(function: Function) -> int:
    """Count what a caller can pass, without `self` and `cls`; keyword-only ones of a constructor are its fields."""
    arguments = function.args
    positional = [argument.arg for argument in [*arguments.posonlyargs, *arguments.args]]
    if positional[:1] in (["self"], ["cls"]):
        positional = positional[1:]
    return len(positional) + (0 if function.name == "__init__" else len(arguments.kwonlyargs))


def public_methods(node: ast.ClassDef) -> int:
    """Count the public methods that a class defines; properties are attributes to their user."""
    return len(
        {
            item.name
            for item in node.body
            if isinstance(item, Function)
            and not item.name.startswith("_")
            and not any("property" in ast.unparse(decorator) for decorator in item.decorator_list)
            and not any(ast.unparse(decorator).endswith(".setter") for decorator in item.decorator_list)
        }
    )
