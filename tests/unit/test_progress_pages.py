"""Pages with a name, by which a process shows whose it is."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from forktask.descriptors import open_descriptors
from forktask.progress import Page, Report, memory_file


def maps() -> str:
    return Path("/proc/self/maps").read_text()


def test_a_named_page_is_seen_in_the_maps_of_its_process_until_it_is_closed() -> None:
    page = Page.named("forktask-of-this-test")
    assert "/memfd:forktask-of-this-test " in maps()
    page.close()
    assert "forktask-of-this-test" not in maps()


def test_a_named_page_is_shared_with_forked_processes() -> None:
    page = Page.named("forktask-shared")
    if (pid := os.fork()) == 0:
        page.write(50.0, "there", 1, 2, "rows")
        os._exit(0)
    os.waitpid(pid, 0)
    found = page.read()
    assert found is not None
    assert found[1] == Report(50.0, "there", 1, 2, "rows")
    page.close()


def test_pages_keep_no_descriptor_open() -> None:
    before = open_descriptors()
    named = Page.named("forktask-named")
    fd = memory_file("forktask-other")
    other = Page.from_descriptor(fd)
    os.close(fd)
    assert open_descriptors() == before
    named.close()
    other.close()
    assert open_descriptors() == before


def test_where_no_memory_file_can_be_had_a_page_has_no_name() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        page = Page.named("forktask-refused")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "forktask-refused" not in maps()
    page.write(1.0, None, None, None, None)
    assert page.read() is not None
    page.close()


def test_a_memory_file_that_cannot_have_its_size_leaves_no_descriptor() -> None:
    before = open_descriptors()
    size = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, size[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            memory_file("forktask-refused")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, size)
    assert open_descriptors() == before


def test_a_descriptor_that_cannot_be_mapped_is_an_error() -> None:
    fd = memory_file("forktask-closed")
    os.close(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        Page.from_descriptor(fd)
