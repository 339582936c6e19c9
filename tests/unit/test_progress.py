"""The shared page: what is written in one process is read in another."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from forktask.progress import MESSAGE_LIMIT, PAGE_SIZE, UNIT_LIMIT, Page, Report
from tests.unit.pages import end_of, forked, numbered, report


@pytest.fixture
def page() -> Iterator[Page]:
    page = Page.anonymous()
    yield page
    page.close()


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
