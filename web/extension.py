"""The Flask extension: one line connects an application with forktask."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from flask import Flask, current_app, has_app_context

from forktask import ConfigurationError, ForkTaskError, Runtime, Settings, load_settings
from forktask.web.widgets import blueprint

log = logging.getLogger("forktask.web")

Owner = Callable[[], str | None]
"""Returns who makes the present request, as the application names its users; None: nobody signed in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationState:
    """What forktask keeps for one application, in `app.extensions["forktask"]`."""

    settings: Settings
    runtime: Runtime
    owner: Owner | None


class ForkTask:
    """Connects Flask applications with forktask.

    Args:
        app: The application, if there is one already; else call `init_app` later.
        owner: Returns who makes the present request; by default Flask-Login is asked, where the application uses it.
            A status that has an owner is shown to that owner only.
    """

    def __init__(self, app: Flask | None = None, *, owner: Owner | None = None) -> None:
        self._owner = owner
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Read the settings, mount the status URLs and add the functions that templates use.

        Templates get `forktask_head()`, for the head of the page, and `forktask_progress(status)`.

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

        Raises:
            ConfigurationError: A setting is wrong, or the application has been connected before.
        """
        if "forktask" in app.extensions:
            raise ConfigurationError(["ForkTask is connected with this application already; call init_app once"])
        settings = load_settings(app.config, os.environ)
        if not settings.database_url:
            file = Path(app.instance_path, "forktask.sqlite").absolute()
            settings = replace(settings, database_url=f"sqlite:///{file}")
        runtime = Runtime(settings, application=app, context=app.app_context, root=app.root_path)
        app.extensions["forktask"] = ApplicationState(settings=settings, runtime=runtime, owner=self._owner)
        app.register_blueprint(blueprint, url_prefix=settings.url_prefix)
        app.before_request(FirstRequest(runtime))


class FirstRequest:
    """Sees to it, once a process, that somebody starts the rows that an earlier process left waiting."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._ahead = [True]

    def __call__(self) -> None:
        """Wake the supervisor if this request is the first."""
        try:
            self._ahead.pop()  # one thread gets it
        except IndexError:
            return
        try:
            self._runtime.wake()
        except ForkTaskError as error:
            log.warning("cannot look for waiting tasks: %s", error)


def current_runtime() -> Runtime | None:
    """Return the runtime of the application whose context is active."""
    if not has_app_context():
        return None
    state: ApplicationState | None = current_app.extensions.get("forktask")
    return None if state is None else state.runtime


Runtime.use(current_runtime)
