"""Tables as they are printed and kept in RESULTS.md; what machine and which versions they are of."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from importlib import metadata


def median(values: Sequence[float], scale: float = 1.0) -> float:
    """Return the median in another unit."""
    return statistics.median(values) * scale


def show(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table whose columns but the first are numbers."""
    print(f"\n### {title}\n")
    print(f"| {' | '.join(head)} |")
    print(f"|---|{'--:|' * (len(head) - 1)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def ratio(value: float, to: float | None) -> str:
    """Return how many times the other one it is; empty without the other."""
    return "" if to is None else f"{value / to:.2f}" if value / to >= 0.01 else f"1/{to / value:.0f}"


def machine() -> str:
    """Return what ran it; no name of a host."""
    with open("/proc/meminfo") as file:
        kilobytes = int(next(line for line in file if line.startswith("MemTotal")).split()[1])
    with open("/proc/cpuinfo") as file:
        models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    model = models[0] if models else platform.machine()
    return f"{os.cpu_count()} cores ({model}), {kilobytes / 2**20:.0f} GB, Linux {platform.release().partition('-')[0]}"


def versions(*packages: str) -> str:
    """Return Python's version and those of the packages that are installed."""
    found = [f"Python {platform.python_version()}"]
    for name in packages:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def print_head(question: str, *packages: str) -> None:
    """Print what was measured where, and with what."""
    load = os.getloadavg()[0]
    print(f"## {question}\n\n{machine()}, load {load:.1f} at the beginning. {versions(*packages)}.")
