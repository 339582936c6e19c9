"""Run the benchmarks one after the other, print their tables and keep them in RESULTS.md: `_all.py [NAME…]`.

Of those that are not named the tables of an earlier run stay.
"""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
HEAD = """# Results

Written by `make bench`; see [how they are measured](../CONTRIBUTING.md#benchmarks). Machines differ and so do days:
what counts are the ratios within one table.
"""


def questions() -> list[str]:
    """Return the names of all benchmarks."""
    return sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_"))


def kept() -> dict[str, str]:
    """Return the sections of earlier runs, each by the name of its benchmark."""
    text = RESULTS.read_text() if RESULTS.exists() else ""
    sections = text.split("\n## ")[1:]
    return {section.partition("\n")[0].lower(): f"## {section.rstrip()}\n" for section in sections}


def run(name: str) -> str:
    """Run one benchmark and print what it prints; return that with the day."""
    process = subprocess.Popen([sys.executable, str(HERE / f"{name}.py")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        print(line, end="", flush=True)
        lines.append(line)
    if process.wait():
        sys.exit(f"{name} failed")
    head, _, rest = "".join(lines).partition("\n\n")
    return f"{head}\n\n{datetime.now(UTC):%Y-%m-%d}. {rest.rstrip()}\n"


def main(names: list[str]) -> None:
    """Run those that are named, or all."""
    if unknown := set(names) - set(questions()):
        sys.exit(f"no benchmark is named {', '.join(unknown)}; there are {', '.join(questions())}")
    sections = kept()
    for name in names or questions():
        sections[name] = run(name)
        print()
        ordered = [sections[one] for one in questions() if one in sections]
        RESULTS.write_text("\n".join((HEAD, *ordered)))


if __name__ == "__main__":
    main(sys.argv[1:])
