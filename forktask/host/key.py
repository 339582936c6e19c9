"""Which web processes share a supervisor."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from typing import Any

from forktask.host.environment import VOLATILE, import_path, is_among
from forktask.host.machine import interpreter, mount_namespace, pid_namespace, umask


def supervisor_key(*, application: str, database_url: str, version: str, settings_digest: str) -> tuple[str, str]:
    """Return two names for the supervisor that may serve this process, 16 hex digits each.

    Returns:
        The application's name, which outlives deployments: a supervisor of the same application with another
        full name is superseded. The full name: equal in processes that can differ in nothing a task would notice.
    """
    lasting = [application, database_url, os.geteuid(), pid_namespace()]
    full = [
        *lasting,
        version,
        settings_digest,
        interpreter(),
        sys.prefix,
        _import_path(application),
        _working_directory(),
        umask(),
        os.getegid(),
        mount_namespace(),
        sorted((name, value) for name, value in os.environ.items() if not is_among(name, VOLATILE)),
    ]
    return _digest(lasting), _digest(full)


def _import_path(application: str) -> list[str]:
    """Return `sys.path` so that it is the same in a supervisor, which imported the application once more.

    An application may add folders to it each time; the loader adds the one of a `file:` reference.
    """
    own = os.path.dirname(application.partition(":")[2].partition(":")[0]) if application.startswith("file:") else None
    return list(dict.fromkeys(entry for entry in import_path() if entry != own))


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:  # a release that was removed under the server
        return ""
