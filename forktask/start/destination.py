"""Which supervisor serves an application on this host."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from forktask import application as applications
from forktask import host, place
from forktask.config import Settings
from forktask.errors import LaunchError
from forktask.supervisor.boot import configuration

log = logging.getLogger("forktask.start")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A supervisor: its name, the directory of its socket, and what it is told at its start.

    Attributes:
        application: Its name that outlives deployments.
        reference: What it imports.
        directory: None where no private directory can be had; then each process has its own supervisor.
    """

    name: str
    application: str
    reference: str
    directory: host.PrivateDirectory | None
    configuration: Callable[[], dict[str, Any]]


def destination_of(settings: Settings, application: object | None, *, factory: str | None, version: str) -> Destination:
    """Return the supervisor that all web processes share which agree in everything that matters.

    Args:
        factory: The call that made the application, as it was seen when it was made.
        version: Of the code that this process has imported.

    Raises:
        ApplicationNotFoundError: Another process could not import the application.
    """
    own = place.reference() if application is None else ""  # a script's; its runner is another program
    reference = settings.app or own or applications.locate(application, stack_hint=factory)
    application_name, name = host.supervisor_key(
        application=reference,
        database_url=settings.database_url,
        version=version,
        settings_digest=hashlib.sha256(repr(settings).encode()).hexdigest(),
    )
    try:
        directory = host.private_directory(settings.runtime_dir)
    except LaunchError as error:
        log.warning("%s; this process gets a supervisor of its own", error)
        directory = None
    return Destination(
        name=name,
        application=application_name,
        reference=reference,
        directory=directory,
        configuration=lambda: configuration(settings, application_name, version, reference),
    )
