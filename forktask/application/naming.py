"""From a live application to the reference under which another interpreter imports it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType

from forktask.application.command_line import entries, factories
from forktask.application.loading import USUAL_NAMES, unwrap
from forktask.application.source import defined_on_import, has_main_guard, import_name, is_library
from forktask.errors import ApplicationNotFoundError


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An attribute of a loaded module that is the application, or wraps it."""

    key: str
    attribute: str


def locate(application: object | None, *, stack_hint: str | None = None) -> str:
    """Return the reference of `application`; of the program that runs if there is no application.

    Args:
        stack_hint: What `factory_hint` gave when the application was made.

    Raises:
        ApplicationNotFoundError: Says what to write into FORKTASK_APP.
    """
    if application is None:
        return _program()
    places = _Places(application)
    for reference in places.references(stack_hint):
        return reference
    raise ApplicationNotFoundError(_advice(application, places.rejected))


def _program() -> str:
    place = import_name("__main__")
    if place is None:
        raise ApplicationNotFoundError(
            "the tasks are defined in a program that is no file, which no other process can import; "
            "put them into a module and set FORKTASK_APP to its name and a colon, or set FORKTASK_START_METHOD=fork"
        )
    return f"{place}:"


class _Places:
    """Where an application can be found; `rejected` are attributes that importing their module does not give."""

    def __init__(self, application: object) -> None:
        self.application = application
        self.rejected: list[Found] = []
        self._entrances = {entry.module for entry in entries()} | _programs()
        loaded: Mapping[str, ModuleType] = sys.modules
        # By type: isinstance() believes an object that only says that it is a module, as cffi's libraries do.
        self._modules = [(key, found) for key, found in list(loaded.items()) if issubclass(type(found), ModuleType)]

    def references(self, hint: str | None) -> Iterator[str]:
        """Yield the references that will do, the best first.

        A wrapper outside the module that is served may be any object that was told of the application later.
        """
        yield from self._importable(self._holding(lambda value: value is self.application))
        wrapped = self._holding(self._wraps, own_only=True)
        yield from self._importable([found for found in wrapped if found.key in self._entrances])
        if hint is not None:
            yield hint
        yield from self._importable([found for found in wrapped if found.key not in self._entrances])
        for entry in factories():
            if (place := import_name(entry.module)) is not None:
                yield f"{place}:{entry.expression}"

    def _wraps(self, value: object) -> bool:
        return value is not self.application and unwrap(value) is self.application

    def _holding(self, is_it: Callable[[object], bool], *, own_only: bool = False) -> list[Found]:
        found = [
            Found(key=key, attribute=name)
            for key, module in self._modules
            if not own_only or not is_library(getattr(module, "__file__", None))
            for name, value in _names(module)
            if is_it(value)
        ]
        home = getattr(self.application, "import_name", None)
        return sorted(found, key=lambda place: _rank(place, home, self._entrances))

    def _importable(self, attributes: list[Found]) -> Iterator[str]:
        for found in attributes:
            place = import_name(found.key)
            if place is not None and defined_on_import(sys.modules[found.key], found.attribute):
                yield f"{place}:{found.attribute}"
            else:
                self.rejected.append(found)


def _names(module: ModuleType) -> list[tuple[str, object]]:
    # Past the __getattribute__ of lazy modules, which would import them now.
    names: dict[str, object] = object.__getattribute__(module, "__dict__")
    return list(names.items())


def _programs() -> set[str]:
    """Return the modules that were started and may safely be imported.

    What a server was told to serve imports all of the application's modules, where the module that makes the
    application may not. A script without a main guard may serve when it is imported.
    """
    found = {key for key in list(sys.modules) if key.startswith(("uwsgi_file_", "_mod_wsgi_"))}
    main = sys.modules.get("__main__")
    return found | {"__main__"} if main is not None and has_main_guard(main) else found


def _rank(found: Found, home: object, entrances: set[str]) -> tuple[object, ...]:
    return (
        found.key not in entrances,
        found.key != home,
        found.attribute.startswith("_"),
        found.attribute not in USUAL_NAMES,
        found.key.count("."),
        found.key,
        found.attribute,
    )


def _advice(application: object, rejected: list[Found]) -> str:
    name = getattr(application, "import_name", None) or type(application).__name__
    text = (
        f"cannot tell how another process would import the application {name!r}: set FORKTASK_APP, in app.config or "
        "the environment, to module:attribute, module:factory() or module:factory('argument')"
    )
    if rejected:
        where = " and ".join(f"{found.key}.{found.attribute}" for found in rejected)
        text += (
            f"; it is in {where}, but importing that module does not make it: is it under a main guard, "
            "or is the file called like a module of Python's?"
        )
    return text
