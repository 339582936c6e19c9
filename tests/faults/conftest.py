"""A runtime with a supervisor of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import database_url
from tests.runtimes import (
    MakeRuntime,
    _shared_runtime,
    _shared_runtime_each,
    make_runtime,
    make_runtime_each,
    own_runtime,
    own_runtime_each,
    runtime,
    runtime_each,
    runtimes,
)

__all__ = [
    "_shared_runtime",
    "_shared_runtime_each",
    "make_runtime",
    "make_runtime_each",
    "own_runtime",
    "own_runtime_each",
    "runtime",
    "runtime_each",
]


@pytest.fixture(params=["sqlite", "postgresql"])
def make_runtime_both(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeRuntime]:
    """Give what makes runtimes on a file and on a server, for faults that take a start or more to cause."""
    with database_url(request.param, tmp_path) as url, runtimes(url, tmp_path) as make:
        yield make
