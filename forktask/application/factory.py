"""Which function made the application, seen from the stack while it runs.

A function is only named if its source shows that it returns the application: `main()` has the application in a local
too, and calling it again would start a second server.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterator
from types import CodeType, FrameType, FunctionType
from typing import Any

from forktask.application.source import defined_on_import, import_name, is_library

LONGEST_ARGUMENT = 2000
"""Characters; what is longer is data, no argument by which a person would name a factory."""
LITERALS = (str, bytes, int, float, bool, type(None), list, tuple, dict)


def factory_hint(application: object) -> str | None:
    """Return the outermost function under way that returns `application`, as a reference; None if there is none.

    Call it while the application is made, that is from `init_app`. The function is at the top level of a
    module of the application's, and its arguments are defaults or literals.
    """
    hint = None
    returns = False
    for frame in _frames():
        returns = _returns(frame, application, returns)
        if returns and (found := _reference(frame, application)) is not None:
            hint = found
    return hint


def _frames() -> Iterator[FrameType]:
    """Yield the frames of the stack outwards."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _returns(frame: FrameType, application: object, callee_returns: bool) -> bool:
    """Return True if the source of this frame's function shows that it returns the application.

    Args:
        callee_returns: The same for the function that it is calling at this moment.
    """
    if frame.f_code.co_name == "<module>":
        return False  # spares parsing a whole file
    names = {name for name, value in frame.f_locals.items() if value is application}
    if not names and not callee_returns:
        return False
    function = _tree(frame.f_code)
    if function is None:
        return False
    position = _position(frame) if callee_returns else None
    nodes = list(_own_nodes(function))
    for node in nodes:
        if isinstance(node, ast.Assign) and position is not None and _span(node.value) == position:
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return any(
        isinstance(node, ast.Return) and node.value is not None and _gives(node.value, names, position, frame)
        for node in nodes
    )


def _gives(value: ast.expr, names: set[str], position: tuple[int, ...] | None, frame: FrameType) -> bool:
    """Return True for `app`, for the call under way, and for a class around either, as in `ProxyFix(app)`."""
    if isinstance(value, ast.Name):
        return value.id in names
    if not isinstance(value, ast.Call):
        return False
    if position is not None and _span(value) == position:
        return True
    known = {**frame.f_globals, **frame.f_locals}
    is_class = isinstance(value.func, ast.Name) and isinstance(known.get(value.func.id), type)
    return is_class and any(_gives(argument, names, position, frame) for argument in value.args)


def _tree(code: CodeType) -> ast.FunctionDef | None:
    """Return the syntax tree of a function with the line numbers of its file; None for anything else."""
    try:
        lines, first = inspect.getsourcelines(code)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        return None
    ast.increment_lineno(tree, first - 1)
    found = tree.body[0]
    if not isinstance(found, ast.FunctionDef) or code.co_flags & inspect.CO_GENERATOR:
        return None
    return found


def _own_nodes(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """Walk a function without the functions inside it."""
    todo: list[ast.AST] = list(function.body)
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            todo.extend(ast.iter_child_nodes(node))


def _position(frame: FrameType) -> tuple[int, ...] | None:
    """Return where the call under way stands in the source: line, last line, column, last column."""
    for index, found in enumerate(frame.f_code.co_positions()):
        if index == frame.f_lasti // 2:
            return None if None in found else tuple(number for number in found if number is not None)
    return None


def _span(node: ast.expr) -> tuple[int, ...]:
    return (node.lineno, node.end_lineno or 0, node.col_offset, node.end_col_offset or 0)


def _reference(frame: FrameType, application: object) -> str | None:
    """Return the reference of a frame's function with its arguments, if another process can call it so."""
    key = frame.f_globals.get("__name__", "")
    name = frame.f_code.co_name
    function = frame.f_globals.get(name)
    module = sys.modules.get(key)
    if not isinstance(function, FunctionType) or function.__code__ is not frame.f_code or module is None:
        return None
    if not _is_own(key, frame.f_code.co_filename, application) or not defined_on_import(module, name):
        return None
    arguments = _arguments(function, frame.f_locals)
    place = import_name(key)
    return None if arguments is None or place is None else f"{place}:{name}({', '.join(arguments)})"


def _is_own(module: str, path: str, application: object) -> bool:
    """Return False for functions of servers and libraries, through which an application may also come."""
    package = module.partition(".")[0]
    home = str(getattr(application, "import_name", "")).partition(".")[0]
    return package == home or not is_library(path)


def _arguments(function: FunctionType, values: dict[str, Any]) -> list[str] | None:
    """Write the arguments of a call as source; None if one of them has no literal."""
    written: list[str] = []
    by_name = False
    for name, parameter in inspect.signature(function).parameters.items():
        value = values.get(name, parameter.empty)
        if value is parameter.default and value is not parameter.empty:
            by_name = True
            continue
        gathers = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if parameter.kind is parameter.VAR_KEYWORD:
            pairs = [(f"{key}=", item) for key, item in value.items()]
        elif parameter.kind is parameter.VAR_POSITIONAL:
            pairs = [("", item) for item in value]
        else:
            by_name = by_name or parameter.kind is parameter.KEYWORD_ONLY
            pairs = [(f"{name}=" if by_name else "", value)]
        if by_name and pairs and (parameter.kind is parameter.POSITIONAL_ONLY or (gathers and not pairs[0][0])):
            return None
        for prefix, item in pairs:
            if (text := _literal(item)) is None:
                return None
            written.append(prefix + text)
    return written


def _literal(value: object) -> str | None:
    """Return source that gives `value`; None if there is none."""
    if type(value) not in LITERALS:
        return None
    text = repr(value)
    try:
        same = len(text) <= LONGEST_ARGUMENT and ast.literal_eval(text) == value
    except (ValueError, SyntaxError):
        return None
    return text if same else None
