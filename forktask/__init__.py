"""Long jobs with live progress for Flask applications, with nothing else to run."""

from forktask.config import Settings
from forktask.config import load as load_settings
from forktask.errors import (
    ConfigurationError,
    ForkTaskError,
    SettingsError,
    ShellArgumentsWarning,
    StateError,
    StatusNotFoundError,
    TaskError,
    TaskStopped,
)
from forktask.live import LiveStatus
from forktask.place import in_supervisor
from forktask.retry import Retry
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
    "Runtime",
    "Settings",
    "SettingsError",
    "ShellArgumentsWarning",
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
