"""A store on each of the three databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from forktask.schedule import declared
from forktask.schedule.declaration import forget
from forktask.store import Store
from forktask.tables import metadata
from tests.databases import KINDS, database_url, order


@pytest.fixture(scope="module", params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give a database to the tests of one module."""
    with database_url(request.param, tmp_path_factory.mktemp("database")) as url:
        yield url


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """Give a store as a web process has it, with empty tables."""
    store = Store(url)
    store.create_tables()
    yield store
    store.close()
    order(url, *(f"DELETE FROM {table}" for table in metadata.tables))


@pytest.fixture
def supervisor_store(url: str, store: Store) -> Iterator[Store]:
    """Give a store as a supervisor has it, on the same tables as `store`."""
    store = Store(url, supervisor=True)
    yield store
    store.close()


@pytest.fixture(autouse=True)
def _no_declarations() -> Iterator[None]:
    before = declared()
    yield
    for name in declared().keys() - before.keys():
        forget(name)
