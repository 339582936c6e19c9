"""The shared page: whole reports only, whatever happens to who writes them."""

from __future__ import annotations

import mmap
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from forktask.progress import MESSAGE_LIMIT, PAGE_SIZE, UNIT_LIMIT, Page, Report


@pytest.fixture
def memory() -> Iterator[mmap.mmap]:
    with mmap.mmap(-1, PAGE_SIZE) as memory:
        yield memory


@pytest.fixture
def page(memory: mmap.mmap) -> Page:
    return Page(memory)


def report(page: Page) -> Report:
    found = page.read()
    assert found is not None
    return found[1]


def numbered(number: int) -> Report:
    """Return a report whose every field tells the number."""
    return Report(number / 7, f"{number}:" + "x" * (number * 37 % 1700), number, number * 3, f"u{number}")


def is_numbered(found: Report) -> bool:
    return found.done is not None and found == numbered(found.done)


def write_for_ever(page: Page) -> None:
    number = 0
    while True:
        number += 1
        page.write(*numbered(number))


def forked(work: Callable[[], None]) -> int:
    pid = os.fork()
    if not pid:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def end_of(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_an_unwritten_page_holds_no_report(page: Page) -> None:
    assert page.read() is None


def test_what_was_written_is_read(page: Page) -> None:
    page.write(12.5, "Reading", 3, 24, "rows")
    assert report(page) == Report(12.5, "Reading", 3, 24, "rows")


def test_the_newest_report_is_read(page: Page) -> None:
    for number in range(5):
        page.write(*numbered(number))
        assert report(page) == numbered(number)


def test_unknown_is_not_the_same_as_zero_or_empty(page: Page) -> None:
    page.write(None, None, None, None, None)
    assert report(page) == Report(None, None, None, None, None)
    page.write(0.0, "", 0, 0, "")
    assert report(page) == Report(0.0, "", 0, 0, "")


def test_each_report_has_another_version(page: Page) -> None:
    versions = []
    for _ in range(100):
        page.write(1, "same", None, None, None)
        found = page.read()
        assert found
        versions.append(found[0])
    assert versions == sorted(set(versions))


def test_reading_twice_gives_the_same_version(page: Page) -> None:
    page.write(1, "same", None, None, None)
    assert page.read() == page.read()


def test_versions_go_on_after_the_page_was_cleared(page: Page) -> None:
    page.write(1, None, None, None, None)
    before = page.read()
    page.clear()
    page.write(1, None, None, None, None)
    after = page.read()
    assert before
    assert after
    assert after[0] > before[0]


def test_a_cleared_page_is_as_new(page: Page) -> None:
    page.write(*numbered(1))
    page.request_cancel()
    assert page.read()
    page.clear()
    assert page.read() is None
    assert not page.cancel_requested


def test_a_request_to_cancel_is_seen_by_the_other_process(page: Page) -> None:
    def wait_for_cancel() -> None:
        while not page.cancel_requested:
            pass
        os._exit(7)

    pid = forked(wait_for_cancel)
    page.request_cancel()
    assert end_of(pid) == 7


def test_reports_do_not_take_back_a_request_to_cancel(page: Page) -> None:
    page.request_cancel()
    page.write(*numbered(1))
    page.write(*numbered(2))
    assert page.cancel_requested


def test_a_forked_process_reports_to_its_parent() -> None:
    page = Page.anonymous()
    assert end_of(forked(lambda: page.write(*numbered(3)))) == 0
    assert report(page) == numbered(3)
    page.close()


def test_two_writing_processes_leave_the_newest_report(page: Page) -> None:
    for number in range(1, 20):
        page.write(*numbered(number))
    assert end_of(forked(lambda: page.write(*numbered(100)))) == 0
    assert report(page) == numbered(100)
    page.write(*numbered(20))
    assert report(page) == numbered(20)


def test_a_started_process_reports_through_a_descriptor() -> None:
    fd = os.memfd_create("page")
    os.ftruncate(fd, PAGE_SIZE)
    page = Page.from_descriptor(fd)
    program = f"from forktask.progress import Page; Page.from_descriptor({fd}).write(50.0, 'there', 1, 2, 'rows')"
    subprocess.run([sys.executable, "-c", program], pass_fds=[fd], check=True)
    os.close(fd)
    assert report(page) == Report(50.0, "there", 1, 2, "rows")
    page.close()


def test_a_long_message_is_cut_with_an_ellipsis(page: Page) -> None:
    page.write(None, "x" * 5000, None, None, None)
    message = report(page).message or ""
    assert message == "x" * (MESSAGE_LIMIT - 3) + "…"
    assert len(message.encode()) == MESSAGE_LIMIT


def test_a_message_that_just_fits_is_kept_whole(page: Page) -> None:
    page.write(None, "x" * MESSAGE_LIMIT, None, None, None)
    assert report(page).message == "x" * MESSAGE_LIMIT


@pytest.mark.parametrize("character", ["é", "€", "😀", "e\u0301"])
@pytest.mark.parametrize("shift", range(4))
def test_a_message_is_never_cut_inside_a_character(page: Page, character: str, shift: int) -> None:
    text = "x" * shift + character * 2000
    page.write(None, text, None, None, None)
    message = report(page).message or ""
    assert message.endswith("…")
    assert text.startswith(message[:-1])
    assert MESSAGE_LIMIT - 4 < len(message.encode()) <= MESSAGE_LIMIT


def test_the_longest_unit_beside_the_longest_message_fits(page: Page) -> None:
    page.write(None, "x" * 5000, None, None, "😀" * 100)
    assert report(page).unit == "😀" * UNIT_LIMIT
    assert len((report(page).message or "").encode()) == MESSAGE_LIMIT


def test_what_databases_refuse_is_replaced(page: Page) -> None:
    page.write(None, "a\0b\ud800c", None, None, "\0\udfff")
    assert report(page).message == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"
    assert report(page).unit == "\N{REPLACEMENT CHARACTER}" * 2


@pytest.mark.parametrize(("given", "kept"), [(2**63 - 1, 2**63 - 1), (2**63, 2**63 - 1), (-(2**70), 1 - 2**63)])
def test_counts_beyond_a_database_integer_are_clamped(page: Page, given: int, kept: int) -> None:
    page.write(None, None, given, None, None)
    assert report(page).done == kept
    page.write(None, None, None, given, None)
    assert report(page).total == kept


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


def test_a_reader_beside_a_busy_writer_sees_whole_reports_in_order(page: Page) -> None:
    pid = forked(lambda: write_for_ever(page))
    try:
        seen = [found for _ in range(20_000) if (found := page.read())]
    finally:
        os.kill(pid, signal.SIGKILL)
        end_of(pid)
    assert all(is_numbered(found) for _, found in seen)
    versions = [version for version, _ in seen]
    assert versions == sorted(versions)
    assert len(set(versions)) > 1


def test_a_writer_killed_at_any_moment_leaves_its_last_whole_report(page: Page) -> None:
    chance = random.Random(42)
    for _ in range(250):
        page.clear()
        pid = forked(lambda: write_for_ever(page))
        seen = None
        for _ in range(chance.randrange(1, 300)):
            seen = page.read() or seen
        os.kill(pid, signal.SIGKILL)
        assert end_of(pid) == -signal.SIGKILL
        left = Page(page._memory).read()
        if seen:
            assert left
            assert left[0] >= seen[0]
        assert left is None or is_numbered(left[1])
