"""The Flask extension: one line connects an application with forktask."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from flask import Flask, current_app, has_app_context

from forktask import ConfigurationError, ForkTaskError, Runtime, Settings, load_settings
from forktask.web.access import Permit, owner_only
from forktask.web.addresses import blueprint
from forktask.web.completion import Hook, Hooks
from forktask.web.language import Languages, Locale, Texts
from forktask.web.patience import Seats
from forktask.web.visitor import notice

log = logging.getLogger("forktask.web")

Curve = Callable[[float], float]
"""The age of a task → a multiple of the poll interval."""
Owner = Callable[[], str | None]
"""Returns who makes the present request, as the application names its users; None: nobody signed in."""


def slow_down(age: float) -> float:
    """Return the usual curve: the square root, so that a look comes late by a small share of the age."""
    return min(10.0, max(1.0, math.sqrt(age / 30)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationState:
    """What forktask keeps for one application, in `app.extensions["forktask"]`."""

    settings: Settings
    runtime: Runtime
    owner: Owner | None
    permit: Permit
    poll_curve: Curve
    languages: Languages
    hooks: Hooks
    seats: Seats


class ForkTask:
    """Connects Flask applications with forktask.

    Args:
        app: The application, if there is one already; else call `init_app` later.
        owner: Returns who makes the present request; by default Flask-Login is asked, where the application uses it.
        permit: `permit(status, action, requester)` says whether somebody may do something with a status. By default
            a status is its owner's; one that nobody owns belongs to the browser that started it; public ones may be
            seen by all. `requester.owns(status)` is that rule, for a function that allows more.
        poll_curve: Given how long a task runs (seconds), returns how many times `FORKTASK_POLL_INTERVAL` its widget
            waits between two looks. By default 1 for half a minute, then growing to 10 in fifty minutes.
        locale: Returns the language of the present request, `de` or `pt_BR`; by default Flask-Babel is asked, where
            the application uses it; else the widgets speak English.
        texts: By language, texts to say otherwise: `{"en": {"Waiting to start": "One moment"}}`.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        owner: Owner | None = None,
        permit: Permit = owner_only,
        poll_curve: Curve = slow_down,
        locale: Locale | None = None,
        texts: Mapping[str, Texts] | None = None,
    ) -> None:
        self._owner = owner
        self._permit = permit
        self._poll_curve = poll_curve
        self._locale = locale
        self._texts = texts
        self._hooks = Hooks()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Read the settings, mount the status URLs and add the functions that templates use.

        Templates get `forktask_head()`, for the head of the page, `forktask_progress(status)`, and for the layout
        `forktask_global()`.

        Configuration keys, each in `app.config` or the environment (times are seconds):

        | key | meaning |
        |---|---|
        | `SECRET_KEY` | Flask's own; signs the status URLs. `SECRET_KEY_FALLBACKS` are accepted too. |
        | `FORKTASK_DATABASE_URL` | SQLAlchemy URL; empty: `instance/forktask.sqlite` |
        | `FORKTASK_START_METHOD` | `forkserver`, `fork`, `spawn` or `inline` |
        | `FORKTASK_APP` | what a runner imports: `module:attribute` or `module:factory()` |
        | `FORKTASK_VERSION` | version of the code; empty: a stamp of its files |
        | `FORKTASK_MAX_RUNNING` | most tasks at once on this host |
        | `FORKTASK_SPARE_RUNNERS` | runners that are forked ahead and wait |
        | `FORKTASK_SAMPLE_INTERVAL` | how often progress is written to the table |
        | `FORKTASK_HEARTBEAT_INTERVAL` | how often a supervisor writes that it lives |
        | `FORKTASK_LOST_AFTER` | silence of a supervisor elsewhere after which its tasks are lost |
        | `FORKTASK_STOP_TIMEOUT` | grace between asking, SIGTERM and SIGKILL |
        | `FORKTASK_IDLE_EXIT` | how long a supervisor stays with nothing to do |
        | `FORKTASK_RUNTIME_DIR` | private directory of the supervisor's socket |
        | `FORKTASK_LOG_LIMIT` | most bytes of captured output an attempt |
        | `FORKTASK_LOG_LEVEL` | least level of captured logging |
        | `FORKTASK_URL_PREFIX` | where the status URLs and static files are mounted |
        | `FORKTASK_POLL_INTERVAL` | how often a widget asks |
        | `FORKTASK_MAX_WAIT` | longest time that a request may wait for the end of a task |

        Raises:
            ConfigurationError: A setting is wrong, or the application has been connected before.
        """
        if "forktask" in app.extensions:
            raise ConfigurationError(["ForkTask is connected with this application already; call init_app once"])
        settings = load_settings(app.config, os.environ)
        state = self._state(app, settings)
        app.extensions["forktask"] = state
        app.register_blueprint(blueprint, url_prefix=settings.url_prefix)
        app.before_request(Lookout(state.runtime))

    def on_complete(self, hook: Hook) -> Hook:
        """Register a function for `full_focus(…, on_complete=function)`; a decorator.

        It is called by name, in whatever process sees the end first. Write it where every process comes by when it
        makes the application.
        """
        self._hooks.add(hook)
        return hook

    def _state(self, app: Flask, settings: Settings) -> ApplicationState:
        if not settings.database_url:
            file = Path(app.instance_path, "forktask.sqlite").absolute()
            settings = replace(settings, database_url=f"sqlite:///{file}")
        return ApplicationState(
            settings=settings,
            runtime=Runtime(settings, application=app, context=app.app_context, root=app.root_path, notice=notice),
            owner=self._owner,
            permit=self._permit,
            poll_curve=self._poll_curve,
            languages=Languages(app.root_path, self._locale, self._texts),
            hooks=self._hooks,
            seats=Seats(),
        )


class Lookout:
    """Sees to it that somebody starts the rows that wait, whatever page is asked for.

    Looks at the first request of a process, for what an earlier one left, and after its supervisor was lost.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._ahead = [True]

    def __call__(self) -> None:
        """Look, if this is the request to do it."""
        if not self._runtime.doorbell.has_lost() and not self._is_first():
            return
        try:
            self._runtime.wake()
        except ForkTaskError as error:
            log.warning("cannot look for waiting tasks: %s", error)

    def _is_first(self) -> bool:
        try:
            return self._ahead.pop()  # one thread gets it
        except IndexError:
            return False


def current_runtime() -> Runtime | None:
    """Return the runtime of the application whose context is active."""
    if not has_app_context():
        return None
    state: ApplicationState | None = current_app.extensions.get("forktask")
    return None if state is None else state.runtime


Runtime.use(current_runtime)
