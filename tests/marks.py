"""Marks in the environment: all that a test, or a run, starts inherits one and is found by it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import psutil


def marked(name: str, value: str) -> list[psutil.Process]:
    """Return the other processes with this variable in their environment; zombies have none.

    Tests ask a hundred times a second: psutil, which parses each environment, would keep a core busy.
    """
    entry = f"{name}={value}".encode()
    found = []
    for pid in (int(folder) for folder in os.listdir("/proc") if folder.isdecimal()):
        with suppress(OSError, psutil.Error):  # gone, or of somebody else
            if pid != os.getpid() and entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.append(psutil.Process(pid))
    return found
