"""An application with one step that waits, and its table."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask

from forktask.store import Store
from tests.web.focus.site import Site


@pytest.fixture
def site(bare: Flask) -> Site:
    return Site(bare)


@pytest.fixture
def store(site: Site) -> Iterator[Store]:
    """The application's table, to put rows into."""
    store = Store(site.url)
    store.ensure_tables()
    yield store
    store.close()
