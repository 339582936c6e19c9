"""How a supervisor comes into being: by exec for a web process, by double fork for a script."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
from dataclasses import asdict, replace
from typing import Any, NoReturn

from forktask import clock, descriptors, host, place, process, registry
from forktask.config import Settings
from forktask.errors import StoreError, UnknownTaskError
from forktask.rows import SupervisorRow, new_id
from forktask.states import StartMethod
from forktask.store import Store
from forktask.supervisor.address import Address
from forktask.supervisor.loop import Supervisor
from forktask.supervisor.options import WorkerOptions
from forktask.supervisor.order import Order
from forktask.supervisor.preload import Preloaded, freeze, loaded_here, preload
from forktask.supervisor.worker import Worker

log = logging.getLogger("forktask.supervisor")

SUPERVISOR, WORKER = b"forktask", b"forktask worker"
"""What `ps -o comm` says of them."""


def configuration(settings: Settings, application: str, version: str, reference: str) -> dict[str, Any]:
    """Return what an exec'd supervisor is told over its standard input; plain JSON."""
    return {
        "settings": asdict(settings),
        "application": application,
        "version": version,
        "reference": reference,
        "modules": sorted({definition.module for definition in registry.tasks()}),
        **host.interpreter_state(),
    }


def main() -> NoReturn:
    """Be the exec'd supervisor: `python -m forktask supervisor NAME`, an orphan from its first moment."""
    os.set_blocking(0, True)  # gevent's sockets never block, and pass that on
    config = json.loads(_read_all(0))
    options = WorkerOptions(**config["worker"]) if "worker" in config else None
    process.rename(SUPERVISOR if options is None else WORKER)
    process.reset_signals()  # exec keeps what the web process ignores or blocks, SIGCHLD among it
    if options is None:
        os.setsid()
        detach_streams()
    else:
        read_nowhere()
    configure_logging(config["settings"]["log_level"])
    host.restore_interpreter(config)
    place.enter("supervisor")
    place.set_code(config["reference"], config["version"])
    place.set_worker_arguments(options.arguments if options is not None else ())
    settings = Settings(**config["settings"] | {"start_method": StartMethod(config["settings"]["start_method"])})
    preloaded = preload(config["reference"], config["modules"])
    if options is not None and preloaded.failure:
        os._exit(1)  # it was logged; whoever started the worker mends it, and no row suffers
    options = _named_in_full(options) if options is not None else None
    store = Store(settings.database_url, supervisor=True)
    prepare(store)
    names = {name: config[name] for name in ("application", "name", "version")}
    known: dict[str, Any] = {"settings": settings, "store": store, "preloaded": preloaded}
    known["address"] = _address(config) if "listener" in config else None
    supervisor = (
        Supervisor(**known, me=row_of_this_process("embedded", **names))
        if options is None
        else Worker(**known, me=row_of_this_process("worker", **names, options=options), options=options)
    )
    if "client" in config:
        supervisor.clients.add(socket.socket(fileno=config["client"]))
    if isinstance(supervisor, Worker):
        supervisor.begin()
    freeze()
    supervisor.run()
    os._exit(supervisor.exit_code)


def _named_in_full(options: WorkerOptions) -> WorkerOptions:
    """Return the options with whole names of the tasks that are to be left alone; say which of them is none."""
    ignored = [registry.full_name(name) for name in options.ignored]
    for name in ignored:
        if registry.find(name) is None:
            log.warning("--ignore: %s", UnknownTaskError(name, registry.near(name)))
    return replace(options, ignored=ignored)


def _address(config: dict[str, Any]) -> Address:
    listener = socket.socket(fileno=config["listener"])
    return Address(listener=listener, lock=config["lock"], directory=config["directory"], name=config["name"])


def prepare(store: Store) -> None:
    """Compile statements before the first fork; where the database is away, later."""
    try:
        store.prepare()
    except StoreError as error:
        log.warning("database: %s", error)


def serve_forked(settings: Settings, order: Order, context: place.Context) -> NoReturn:
    """Be the supervisor of one order, forked from the application itself: for scripts and closures."""
    place.enter("supervisor")
    process.rename(SUPERVISOR)
    process.reset_signals()
    replace_streams()
    descriptors.null_sockets()
    preloaded: Preloaded = loaded_here(context)
    descriptors.hold_sqlite_locks(preloaded.inherited)  # as long as a runner lives, so do we
    store = Store(settings.database_url, supervisor=True)
    supervisor = Supervisor(
        settings=settings,
        store=store,
        preloaded=preloaded,
        me=row_of_this_process("fork"),
        address=None,
    )
    supervisor.orders.take(replace(order, start_method=StartMethod.FORK))
    freeze()
    supervisor.run()
    os._exit(0)


def row_of_this_process(
    kind: str, *, application: str = "", name: str = "", version: str = "", options: WorkerOptions | None = None
) -> SupervisorRow:
    """Return the row that says who we are; with a name only where web processes find us by it."""
    me = process.identify()
    now = clock.now()
    return SupervisorRow(
        id=new_id(),
        application=application,
        name=name,
        version=version,
        host=socket.gethostname(),
        kind=kind,
        queues=[*options.weights] if options is not None and options.only is None else None,
        tasks=sorted({*registry.names()} - {*options.ignored}) if options is not None else None,
        processes=options.processes if options is not None else None,
        held_at=None,
        boot_id=me.boot_id,
        pid_namespace=me.pid_namespace,
        pid=me.pid,
        start_ticks=me.start_ticks,
        started_at=now,
        heartbeat_at=now,
        stopped_at=None,
    )


def read_nowhere() -> None:
    """Read from nowhere; print where we were told to."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def detach_streams() -> None:
    """Read and print nowhere: an inherited pipe would keep cron, ssh and CI waiting for our end."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)


def replace_streams() -> None:
    """As `detach_streams`, standard error too; what Python holds in its buffers is the parent's to print."""
    detach_streams()
    os.dup2(1, 2)
    sys.stdin = open(os.devnull)  # noqa: SIM115 - stays open as long as the process
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def configure_logging(level: str) -> None:
    """Our own log goes to standard error, which the starter made a file in the runtime directory."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s %(message)s"))
    logger = logging.getLogger("forktask")
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False


def _read_all(descriptor: int) -> bytes:
    pieces = []
    while piece := os.read(descriptor, 65536):
        pieces.append(piece)
    return b"".join(pieces)
