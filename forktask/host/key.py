"""Which web processes share a supervisor."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from typing import Any

from forktask.host.environment import VOLATILE, is_among
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
        [str(entry) for entry in sys.path],
        _working_directory(),
        umask(),
        os.getegid(),
        mount_namespace(),
        sorted((name, value) for name, value in os.environ.items() if not is_among(name, VOLATILE)),
    ]
    return _digest(lasting), _digest(full)


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:  # a release that was removed under the server
        return ""
