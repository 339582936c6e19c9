"""Growth is found and named, also that of real descriptors; what varies is let pass."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest

from tests.soak.flatness import OF_ALL, OF_ONE, Measure, grown
from tests.soak.processes import Process, anonymous_memory, descriptors, read

ME = Process(os.getpid(), getattr(read(os.getpid()), "ticks", 0))
PART = ("supervisor", ME)
HUGE = 10**10


@pytest.mark.parametrize("name", sorted(OF_ONE))
def test_what_grew_in_one_process_is_named(name: str) -> None:
    before, after = Measure(of_each={PART: dict.fromkeys(OF_ONE, 1)}), Measure(of_each={PART: dict.fromkeys(OF_ONE, 1)})
    assert list(grown(before, after, each=True)) == []
    after.of_each[PART][name] = HUGE
    (found,) = grown(before, after, each=True)
    assert (found.invariant, found.about) == ("flat", str(ME.pid))
    assert found.what.startswith(f"{name} of the supervisor: 1 before, {HUGE} after")
    assert list(grown(before, after, each=False)) == [], "a storm may change each process"


@pytest.mark.parametrize("name", sorted(OF_ALL))
def test_what_grew_in_the_whole_site_is_named(name: str) -> None:
    (found,) = grown(Measure(of_all={name: 1}), Measure(of_all={name: HUGE}), each=False)
    assert found.what == f"{name}: 1 at the first rest, {HUGE} now"


def test_open_files_are_seen_by_what_they_are(tmp_path: Path) -> None:
    before = Measure(of_each={PART: numbers()}, details={ME: descriptors(ME.pid)})
    files = [(tmp_path / f"left-open-{number}").open("w") for number in range(10)]
    after = Measure(of_each={PART: numbers()}, details={ME: descriptors(ME.pid)})
    for file in files:
        file.close()
    (found,) = grown(before, after, each=True)
    assert "descriptors" in found.what
    assert "left-open-3" in found.what


def numbers() -> dict[str, int]:
    return {"descriptors": len(descriptors(ME.pid)), "anonymous memory": 0, "children": 0}


def test_memory_that_was_filled_is_seen() -> None:
    """In pages of its own: what the process had before may be filled again, and count no more."""
    before = anonymous_memory(ME.pid)
    with mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE) as held:
        held.write(os.urandom(1 << 20) * 64)
        assert anonymous_memory(ME.pid) >= before + len(held) // 2
