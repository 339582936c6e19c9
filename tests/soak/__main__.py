"""Run the soak: `python -m tests.soak --minutes 30 --seed 7`; both databases beside each other unless one is named."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from glob import glob
from pathlib import Path

from tests.soak.cluster import PROGRAMS
from tests.soak.database import DATABASES
from tests.soak.report import summary
from tests.soak.scene import plan, scene


def main() -> int:
    """Return 1 if anything was violated."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0, help="0: any; it is printed")
    parser.add_argument("--database", choices=sorted(DATABASES))
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # also then nothing is left running
    signal.signal(signal.SIGINT, signal.default_int_handler)
    seed = given.seed or random.randrange(1, 10**6)
    if given.database is not None:
        return play(given.database, given.minutes, seed)
    print(f"soak of {given.minutes:g} minutes, seed {seed} (SEED={seed} repeats it)", flush=True)
    command = [sys.executable, "-m", "tests.soak", "--minutes", str(given.minutes), "--seed", str(seed)]
    both = [subprocess.Popen([*command, "--database", kind]) for kind in possible()]
    try:
        return max(abs(one.wait()) for one in both)
    except KeyboardInterrupt:
        for one in both:
            one.send_signal(signal.SIGTERM)
            one.wait()
        return 2


def possible() -> list[str]:
    """Return the databases that can be had; at a desk without PostgreSQL, one."""
    if glob(f"{PROGRAMS}/initdb") or os.environ.get("CI") == "true":
        return list(DATABASES)
    print(f"no PostgreSQL in {PROGRAMS}: SQLite only", flush=True)
    return ["sqlite"]


def play(kind: str, minutes: float, seed: int) -> int:
    """Run the soak on one database."""
    folder = Path(tempfile.mkdtemp(prefix="forktask-soak-"))
    with scene(kind, folder, seed) as found:
        found.play(plan(minutes))
        print("\n".join(summary(found)), flush=True)
    if found.watch.findings:
        print(f"what is left of it is in {folder}", flush=True)
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
