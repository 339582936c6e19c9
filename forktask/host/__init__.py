"""What this process shares with others of its host, and what tells it from them."""

from __future__ import annotations

from forktask.host.directory import PrivateDirectory, discard_lock, is_locked, lock_file, private_directory
from forktask.host.environment import (
    VOLATILE,
    clean_environment,
    exec_environment,
    interpreter_state,
    restore_interpreter,
)
from forktask.host.key import supervisor_key
from forktask.host.machine import boot_id, interpreter, pid_namespace, umask

__all__ = [
    "VOLATILE",
    "PrivateDirectory",
    "boot_id",
    "clean_environment",
    "discard_lock",
    "exec_environment",
    "interpreter",
    "interpreter_state",
    "is_locked",
    "lock_file",
    "pid_namespace",
    "private_directory",
    "restore_interpreter",
    "supervisor_key",
    "umask",
]
