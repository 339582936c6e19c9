"""Long jobs with live progress for Flask applications, with nothing else to run."""

import sys

if sys.platform == "win32":
    raise ImportError(
        "forktask forks POSIX processes and does not run on Windows; the Windows Subsystem for Linux will do"
    )

from forktask.config import Settings
from forktask.config import load as load_settings
from forktask.errors import (
    ConfigurationError,
    ForkTaskError,
    SettingsError,
    StateError,
    StatusNotFoundError,
    TaskError,
    TaskStopped,
)
from forktask.live import LiveStatus
from forktask.place import in_supervisor
from forktask.retry import Retry, RetryLater
from forktask.runtime import Runtime
from forktask.states import Cause, StartMethod, State
from forktask.status import TaskStatus
from forktask.task import Task, task

__all__ = [
    "Cause",
    "ConfigurationError",
    "ForkTaskError",
    "LiveStatus",
    "Retry",
    "RetryLater",
    "Runtime",
    "Settings",
    "SettingsError",
    "StartMethod",
    "State",
    "StateError",
    "StatusNotFoundError",
    "Task",
    "TaskError",
    "TaskStatus",
    "TaskStopped",
    "in_supervisor",
    "load_settings",
    "task",
]
