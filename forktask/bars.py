"""tqdm bars inside a task move the bar of its status instead of filling its log."""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from math import isfinite
from types import ModuleType
from typing import Any

from forktask.live import LiveStatus

log = logging.getLogger("forktask.bars")

MODULE = "tqdm.std"

_current: Callable[[], LiveStatus | None] | None = None


def install(current: Callable[[], LiveStatus | None]) -> None:
    """Pick up tqdm bars from now on; tqdm is not imported for it, that would cost 50 ms.

    Args:
        current: Returns the status of the task that is running, None outside: bars are left alone then.
    """
    global _current
    if _current is current:
        return
    _current = current
    if module := sys.modules.get(MODULE):
        _patch(module)
    elif not any(isinstance(finder, _ImportHook) for finder in sys.meta_path):
        sys.meta_path.insert(0, _ImportHook())


def _live() -> LiveStatus | None:
    return _current() if _current else None


def _patch(module: ModuleType) -> None:
    """Replace the two methods through which every text bar shows itself, at its own refresh rate."""
    try:
        bar_class = module.tqdm
        display, refresh = bar_class.display, bar_class.refresh
    except AttributeError as error:
        log.debug("tqdm bars are not picked up: %s", error)
        return
    if hasattr(display, "picked_up"):
        return

    def display_in_status(self: Any, msg: str | None = None, pos: int | None = None) -> Any:
        live = _live()
        if live is not None and _pick_up(live, self):
            return True
        return display(self, msg, pos)

    def refresh_or_stop(self: Any, nolock: bool = False, lock_args: Any = None) -> Any:
        shown = refresh(self, nolock, lock_args)
        # Not in `display`, which would leave tqdm's lock locked, and not in tqdm's monitor thread (`nolock`).
        if not nolock and not self.disable and (live := _live()) is not None:
            live._bar.stop_if_asked()
        return shown

    display_in_status.picked_up = True  # type: ignore[attr-defined]
    bar_class.display, bar_class.refresh = display_in_status, refresh_or_stop


def _pick_up(live: LiveStatus, shown: Any) -> bool:
    """Report what a bar shows if it is the outermost; return True if it has nothing to write itself."""
    try:
        if shown.pos == 0:
            _report(live, shown)
        if shown.fp not in (sys.stderr, sys.stdout, _NOWHERE):
            return False
        shown.fp, shown.sp = _NOWHERE, _NOWHERE.write
    except Exception as error:  # a tqdm with other internals: its bars then look as always
        log.debug("a tqdm bar was not picked up: %r", error)
        return False
    return True


def _report(live: LiveStatus, shown: Any) -> None:
    done = int(shown.n)
    total = int(shown.total) if shown.total is not None and isfinite(shown.total) else None
    if (track := live._bar.owner) is not None:
        track.advance(done, total)
        return
    unit = None if shown.unit == "it" else str(shown.unit).strip()  # "it" is tqdm's word for no unit
    live._bar.count(done, total, unit, str(shown.desc or "").removesuffix(": "))


class _Nowhere:
    """A stream for bars that show themselves elsewhere."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        return


_NOWHERE = _Nowhere()


class _ImportHook(MetaPathFinder):
    """Waits for the import of tqdm, has its loader patch it, and steps aside."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _PatchingLoader(spec.loader)
        return spec


class _PatchingLoader(Loader):
    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        _patch(module)
