"""A stamp of the application's code: it changes when a file does."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator

MOST_ENTRIES = 20_000
"""Where the scan stops: a root that is by mistake a home folder must not hold up a web process."""
SKIPPED = frozenset({"__pycache__", "node_modules", "instance", "static", "site-packages", "dist-packages"})


def code_stamp(root: str) -> str:
    """Return 16 hex digits that depend on path, time of change and size of every `.py` file under `root`.

    Hidden folders, virtual environments, data and static folders are left out; links to folders are
    not followed; what cannot be read is skipped.
    """
    root = os.path.realpath(root)
    digest = hashlib.sha256(os.fsencode(root))
    for entry in _entries(root):
        if not entry.name.endswith(".py"):
            continue
        try:
            found = entry.stat()
        except OSError:
            continue
        digest.update(os.fsencode(f"\0{entry.path}\0{found.st_mtime_ns}\0{found.st_size}"))
    return digest.hexdigest()[:16]


def _entries(root: str) -> Iterator[os.DirEntry[str]]:
    """Walk folder by folder, in an order that does not depend on the file system."""
    left = MOST_ENTRIES
    folders = [root]
    while folders:
        try:
            with os.scandir(folders.pop()) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            if (left := left - 1) < 0:
                return
            if not _is_folder(entry):
                yield entry
            elif not _is_skipped(entry):
                folders.append(entry.path)


def _is_skipped(folder: os.DirEntry[str]) -> bool:
    if folder.name.startswith(".") or folder.name in SKIPPED:
        return True
    return os.path.exists(os.path.join(folder.path, "pyvenv.cfg"))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def main_root() -> str:
    """Return the folder of the program that runs; the working directory if it is no file."""
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    return os.path.dirname(os.path.abspath(path)) if path else os.getcwd()
