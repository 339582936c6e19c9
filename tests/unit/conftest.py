"""Programs that cost no start of an interpreter."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.fresh import Fresh, fresh


@pytest.fixture(scope="session")
def interpreters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fresh]:
    with fresh(tmp_path_factory.mktemp("fresh")) as found:
        yield found
