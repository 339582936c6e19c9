"""When memory is short: who goes first, and whether the kernel ended somebody."""

from __future__ import annotations

OUT_OF_MEMORY_SCORE = 500
"""Added to a runner's score, so that the kernel ends it before a web server or a database."""


def offer_to_out_of_memory_killer() -> None:
    """Make this process the first to go when memory is short."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(OUT_OF_MEMORY_SCORE))
    except OSError:
        return


def out_of_memory_kills() -> int:
    """Return how many processes the kernel has killed for memory since boot; 0 where it does not say."""
    try:
        with open("/proc/vmstat") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("oom_kill ")), 0)
    except OSError:
        return 0
