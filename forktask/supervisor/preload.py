"""The application, imported once so that runners are forked with it."""

from __future__ import annotations

import gc
import importlib
import logging
import resource
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

from sqlalchemy.engine import Engine

from forktask import application, descriptors, native, place, process, registry

log = logging.getLogger("forktask.supervisor")

DESCRIPTOR_LIMIT = 65536
"""Four descriptors a runner; the usual soft limit of 1024 would hold 250."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preloaded:
    """What the import of the application gave.

    Attributes:
        threads: Names of threads that run after it; then no runner can be forked from here.
        patches: What it made of Python's own modules; in force in the runners.
        inherited: Descriptors that the application opened.
        failure: Traceback, if it could not be imported.
    """

    reference: str
    context: place.Context
    threads: tuple[str, ...] = ()
    patches: native.Patches = field(default_factory=native.Patches)
    inherited: frozenset[int] = frozenset()
    failure: str | None = None
    descriptor_limit: tuple[int, int] = field(default_factory=lambda: resource.getrlimit(resource.RLIMIT_NOFILE))

    @property
    def can_fork(self) -> bool:
        """False if threads run: a lock that one of them holds would stay locked in every runner."""
        return not self.threads


def preload(reference: str, modules: Sequence[str] = ()) -> Preloaded:
    """Import the application and make this process a clean place to fork from.

    Args:
        modules: Where the web process has tasks; the application need not import them all.
    """
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    ours = set(descriptors.open_descriptors())
    patches = native.Patches()
    place.set_preloading(True)
    try:
        with patches.in_force():
            loaded = application.load(reference)
    except BaseException:  # the application's code, which may also call sys.exit()
        log.exception("cannot import application=%s", reference)
        return Preloaded(reference=reference, context=place.context_of(None), failure=traceback.format_exc())
    finally:
        place.set_preloading(False)
    for module in modules:
        import_module(module, patches)
    dispose_engines()
    inherited = frozenset(set(descriptors.open_descriptors()) - ours)
    raise_descriptor_limit(limit)
    preloaded = Preloaded(
        reference=reference,
        context=place.context_of(loaded),
        threads=running_threads(),
        patches=patches,
        inherited=inherited,
        descriptor_limit=limit,
    )
    if not preloaded.can_fork:
        log.warning(
            "threads=%s run after the import of %s: each task starts an interpreter of its own; "
            "leave them out where forktask.in_supervisor() is true",
            ",".join(preloaded.threads),
            reference,
        )
    log.info("preloaded application=%s tasks=%s", reference, ",".join(registry.names()))
    return preloaded


def import_module(name: str, patches: native.Patches | None = None) -> bool:
    """Import a module that defines tasks; return False, and log why, if that fails."""
    place.set_preloading(True)
    try:
        with nullcontext() if patches is None else patches.in_force():
            importlib.import_module(name)
    except BaseException:  # the application's code, which may also call sys.exit()
        log.warning("cannot import module=%s, where a web process has tasks", name, exc_info=True)
        return False
    finally:
        place.set_preloading(False)
    return True


def dispose_engines() -> None:
    """Close the connections of every SQLAlchemy engine: none may cross a fork."""
    for found in [found for found in gc.get_objects() if isinstance(found, Engine)]:
        found.dispose()


def freeze() -> None:
    """Move all objects out of the collector's sight, so that runners do not copy their pages.

    A collection in a runner would otherwise cost 45 ms and 15 MB (CPython's `gc.freeze` was made for it).
    """
    gc.collect()
    gc.freeze()


def running_threads() -> tuple[str, ...]:
    """Return the names of the threads beside this one; those that Python does not know as `native`."""
    named = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    native = process.thread_count() - 1 - len(named)
    return tuple(named + ["native"] * max(0, native))


def raise_descriptor_limit(limit: tuple[int, int]) -> None:
    """Allow this process as many descriptors as the hard limit lets it."""
    soft, hard = limit
    wanted = DESCRIPTOR_LIMIT if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTOR_LIMIT)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def loaded_here(context: place.Context) -> Preloaded:
    """Return what a supervisor that was forked from the application itself has: everything, as it is."""
    main = getattr(sys.modules.get("__main__"), "__file__", None) or "-"
    return Preloaded(reference=f"file:{main}:", context=context, inherited=frozenset(descriptors.open_descriptors()))
