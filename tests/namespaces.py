"""Pid namespaces of their own, for tests of what happens in a container."""

from __future__ import annotations

import os
import subprocess

NAMESPACE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
"""What follows is pid 1."""
if os.geteuid() != 0:
    NAMESPACE += ["--user", "--map-root-user"]


def refusal(script: str = "true") -> str:
    """Return why no pid namespace can be made here in which a script does its work, if so."""
    try:
        done = subprocess.run([*NAMESPACE, "/bin/sh", "-c", script], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        return str(error)
    return done.stderr or (f"exit code {done.returncode}" if done.returncode else "")
