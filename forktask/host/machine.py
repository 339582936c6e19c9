"""Facts about this process and the machine under it."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import subprocess
import sys
from pathlib import Path

from forktask.errors import LaunchError

_PYTHON = re.compile(r"(python|pypy|graalpy)[\w.-]*")
STATUS = "/proc/self/status"


def interpreter() -> str:
    """Return the path of this Python; found from `sys.prefix` where another program embeds it, as uWSGI does.

    It is absolute, and the same however this process was called.

    Raises:
        LaunchError: There is none.
    """
    if _PYTHON.fullmatch(os.path.basename(sys.executable or "")) and _may_execute(sys.executable):
        return _normal(sys.executable)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for prefix in dict.fromkeys((sys.prefix, sys.exec_prefix, sys.base_prefix)):
        for name in (f"python{version}", "python3", "python"):
            path = os.path.join(prefix, "bin", name)
            if _may_execute(path):
                return _normal(path)
    raise LaunchError(
        f"there is no Python interpreter under {sys.prefix}, and sys.executable is {sys.executable!r}; "
        "install one there, or set FORKTASK_START_METHOD=fork"
    )


def _may_execute(path: str) -> bool:
    """Ask for the user that this process acts as, with its capabilities; plain `access` asks for the real one."""
    return os.access(path, os.X_OK, effective_ids=os.access in os.supports_effective_ids)


def _normal(path: str) -> str:
    """Return a path without `.` and `..`; links stay, for it is by its link that Python finds its environment."""
    normal = os.path.abspath(path)
    with contextlib.suppress(OSError):
        if os.path.samefile(normal, path):
            return normal
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))  # `..` behind a link


def umask() -> int:
    """Return the mask of new files; read, where the kernel tells it, for setting it races with other threads."""
    try:
        with open(STATUS, "rb") as status:
            for line in status:
                if line.startswith(b"Umask:"):
                    return int(line.split()[1], 8)
    except OSError:
        pass
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


@functools.cache
def boot_id() -> str:
    """Return what differs after each boot of the machine."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes().decode().strip()
    except OSError:
        pass
    try:
        command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def pid_namespace() -> str:
    """Return the namespace in which this process' pids mean something; empty where there are none."""
    return _namespace("pid")


def _namespace(kind: str) -> str:
    try:
        return str(os.stat(f"/proc/self/ns/{kind}").st_ino)
    except OSError:
        return ""


def mount_namespace() -> str:
    """Return the namespace in which this process' paths mean something; empty where there are none."""
    return _namespace("mnt")
