"""On the import path of a whole site: each of its processes notes every fork, with its threads at that moment."""

from __future__ import annotations

import os
import sys
from typing import Any


def note_fork(event: str, arguments: Any) -> None:
    if event != "os.fork":
        return
    words = sys.argv[:1] if "supervisor" not in sys.orig_argv else ["supervisor"]
    names = [os.path.basename(word) for word in words]
    line = f"{names[0]} {os.getpid()} {len(os.listdir('/proc/self/task'))}\n"
    file = os.open(os.environ["FORKS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, line.encode())
    os.close(file)


sys.addaudithook(note_fork)
