"""A site with the applications of `tests/zoo_servers`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.site import Site, open_site
from tests.servers.serving import ZOO


def copy_applications(folder: Path) -> None:
    """Put the applications where a server finds them."""
    for file in ZOO.glob("*.py"):
        shutil.copy(file, folder)
    shutil.copy(ZOO / "plain.py", folder / "my-app.py")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path) as site:
        copy_applications(tmp_path)
        yield site
