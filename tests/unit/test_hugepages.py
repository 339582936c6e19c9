"""Memory goes into huge pages, and stays what it was."""

from __future__ import annotations

import mmap
from collections.abc import Iterator

import pytest

from forktask import hugepages

FULL, SPARSE = 4 * hugepages.SIZE, 64 * hugepages.SIZE


@pytest.fixture
def full() -> Iterator[mmap.mmap]:
    """Give memory that is written from the first byte to the last."""
    with mmap.mmap(-1, FULL, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.write(b"forktask" * (FULL // 8))
        yield memory


def in_huge_pages() -> int:
    """Return bytes."""
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("AnonHugePages:"))


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * mmap.PAGESIZE


def test_what_is_full_goes_into_huge_pages_with_all_that_is_in_it(full: mmap.mmap) -> None:
    before = in_huge_pages()
    count = hugepages.collapse()
    assert in_huge_pages() - before >= min(count, 2) * hugepages.SIZE
    assert count >= 3, "this kernel is older than 6.1, or refuses"
    assert full[:] == b"forktask" * (FULL // 8)


def test_what_was_only_reserved_stays_so() -> None:
    with mmap.mmap(-1, SPARSE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        for place in range(0, SPARSE, hugepages.SIZE):
            memory[place] = 1
        hugepages.collapse()  # of all else
        before = resident()
        hugepages.collapse()
        assert resident() - before < SPARSE // 8


def test_where_the_kernel_does_not_tell_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    assert hugepages.collapse() == 0
