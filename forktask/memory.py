"""When memory is short: who goes first, and whether the kernel ended somebody."""

from __future__ import annotations

from collections.abc import Iterable

from forktask import clock

OUT_OF_MEMORY_SCORE = 500
"""Added to a runner's score, so that the kernel ends it before a web server or a database."""


def offer_to_out_of_memory_killer() -> None:
    """Make this process the first to go when memory is short."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(OUT_OF_MEMORY_SCORE))
    except OSError:
        return


def used_by(pids: Iterable[int]) -> int:
    """Return how many bytes of memory some processes take, each shared page by its share; what is gone takes none."""
    return sum(_proportional_share(pid) for pid in pids)


def _proportional_share(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            return next((int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:")), 0)
    except OSError:
        return 0


def out_of_memory_kills() -> int:
    """Return how many processes the kernel has killed for memory since boot; 0 where it does not say."""
    try:
        with open("/proc/vmstat", "rb", buffering=0) as file:
            found = (b"\n" + file.read()).partition(b"\noom_kill ")[2]
    except OSError:
        return 0
    return int(found.partition(b"\n")[0]) if found else 0


class Kills:
    """How many processes the kernel has killed for memory, read once a second: that costs more than a small task."""

    def __init__(self) -> None:
        self._count, self._until = 0, 0.0

    def about_now(self) -> int:
        """Return the number as it was about now."""
        if (now := clock.monotonic()) >= self._until:
            self._count, self._until = out_of_memory_kills(), now + 1.0
        return self._count
