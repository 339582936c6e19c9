"""The shared page gives whole reports only, whatever happens to who writes them."""

from __future__ import annotations

import mmap
import os
import random
import signal
from collections.abc import Callable, Iterator

import pytest

from forktask.progress import PAGE_SIZE, Page, Report
from tests.unit.pages import end_of, forked, is_numbered, numbered, report, write_for_ever
from tests.waiting import wait_until


@pytest.fixture
def memory() -> Iterator[mmap.mmap]:
    with mmap.mmap(-1, PAGE_SIZE) as memory:
        yield memory


@pytest.fixture
def page(memory: mmap.mmap) -> Page:
    return Page(memory)


@pytest.mark.parametrize("position", [*range(2056, 2056 + 60), 2100, 2150])
def test_a_damaged_newest_report_gives_the_one_before(memory: mmap.mmap, position: int) -> None:
    page = Page(memory)
    page.write(*numbered(5))
    page.write(*numbered(6))
    memory[position] ^= 0x41
    assert Page(memory).read() is not None
    assert report(Page(memory)) == numbered(5)


def test_bytes_at_random_give_no_report_or_a_whole_one(memory: mmap.mmap) -> None:
    chance = random.Random(4711)
    for _ in range(300):
        page = Page(memory)
        page.clear()
        page.write(*numbered(5))
        page.write(*numbered(6))
        for _ in range(chance.choice((1, 5, 4000))):
            memory[chance.randrange(PAGE_SIZE)] = chance.randrange(256)
        found = page.read()
        assert found is None or found[1] in (numbered(5), numbered(6))


def test_a_reader_keeps_the_last_report_when_both_slots_are_damaged(page: Page, memory: mmap.mmap) -> None:
    page.write(*numbered(5))
    assert report(page) == numbered(5)
    memory[16:PAGE_SIZE] = b"\xff" * (PAGE_SIZE - 16)
    assert report(page) == numbered(5)


def test_a_reader_forgets_the_last_report_when_the_page_is_cleared(page: Page, memory: mmap.mmap) -> None:
    page.write(*numbered(5))
    assert report(page) == numbered(5)
    page.clear()
    memory[:] = b"\xff" * PAGE_SIZE
    assert page.read() is None


def test_a_reader_beside_a_busy_writer_sees_whole_reports_in_order(page: Page) -> None:
    pid = forked(lambda: write_for_ever(page))
    try:
        wait_until(page.read)
        seen: list[tuple[int, Report]] = []
        while len({version for version, _ in seen}) < 300:
            seen += [found for _ in range(100) if (found := page.read())]
    finally:
        os.kill(pid, signal.SIGKILL)
        end_of(pid)
    assert all(is_numbered(found) for _, found in seen)
    versions = [version for version, _ in seen]
    assert versions == sorted(versions)


def test_a_writer_killed_at_a_random_moment_leaves_a_whole_report(page: Page, memory: mmap.mmap) -> None:
    chance = random.Random(42)
    for _ in range(100):
        page.clear()
        pid = forked(lambda: write_for_ever(page))
        seen = None
        for _ in range(chance.randrange(1, 300)):
            seen = page.read() or seen
        os.kill(pid, signal.SIGKILL)
        assert end_of(pid) == -signal.SIGKILL
        left = Page(memory).read()
        if seen:
            assert left
            assert left[0] >= seen[0]
        assert left is None or is_numbered(left[1])


class DeadlyMemory(mmap.mmap):
    """Copies byte by byte, and kills its process when `lifetime` bytes were copied."""

    lifetime = 2**62

    def __setitem__(self, key: int | slice, value: int | bytes) -> None:  # type: ignore[override]
        start = key if isinstance(key, int) else key.start
        for offset, byte in enumerate([value] if isinstance(value, int) else value):
            if not self.lifetime:
                os.kill(os.getpid(), signal.SIGKILL)
            self.lifetime -= 1
            super().__setitem__(start + offset, byte)


@pytest.mark.parametrize("before", [0, 1, 2, 3])
def test_a_writer_killed_at_each_byte_leaves_the_report_before(before: int) -> None:
    with DeadlyMemory(-1, PAGE_SIZE) as memory:
        page = Page(memory)
        for number in range(before):
            page.write(*numbered(number))
        for lifetime in range(1000):
            memory.lifetime = lifetime
            if end_of(forked(lambda: page.write(50.0, "halfway", 1, 2, "rows"))) == 0:
                break
            assert Page(memory).read() == (page.read() if before else None)
            assert not before or report(page) == numbered(before - 1)
        assert 50 < lifetime < 100
        assert report(page) == Report(50.0, "halfway", 1, 2, "rows")


class InterruptedMemory(mmap.mmap):
    """Lets something happen in the middle of each copy out of it."""

    happens: Callable[[], None] = staticmethod(lambda: None)

    def __getitem__(self, key: int | slice) -> int | bytes:  # type: ignore[override]
        if isinstance(key, int):
            return super().__getitem__(key)
        middle = key.start + 30
        first = super().__getitem__(slice(key.start, middle))
        self.happens()
        return first + super().__getitem__(slice(middle, key.stop))


@pytest.mark.parametrize("writes", [1, 2, 3])
def test_a_reader_interrupted_by_writes_takes_a_whole_report(writes: int) -> None:
    with InterruptedMemory(-1, PAGE_SIZE) as memory:
        page = Page(memory)
        numbers = iter(range(10_000))

        def write() -> None:
            for _ in range(writes):
                page.write(*numbered(next(numbers)))

        write()
        assert page.read()
        memory.happens = write
        for _ in range(50):
            assert is_numbered(report(page))


def test_a_reader_tries_again_until_it_gets_the_newest_report() -> None:
    with InterruptedMemory(-1, PAGE_SIZE) as memory:
        page = Page(memory)
        page.write(*numbered(0))
        assert page.read()
        numbers = iter(range(1, 11))

        def write_twice() -> None:
            for number in (next(numbers, 0), next(numbers, 0)):
                if number:
                    page.write(*numbered(number))

        memory.happens = write_twice
        assert report(page) in (numbered(9), numbered(10))
