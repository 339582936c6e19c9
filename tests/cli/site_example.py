"""A site as an operator has it: a folder with an application, and commands as separate programs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

APPLICATION = """
import os
from flask import Flask
from forktask import task
from forktask.web import ForkTask

app = Flask(__name__)
app.config["FORKTASK_DATABASE_URL"] = os.environ["SITE_DATABASE"]
app.config["FORKTASK_START_METHOD"] = "inline"
ForkTask(app)

@task
def double(status):
    print("doubling")
    return status.settings["n"] * 2
"""
ENTRIES = (("forktask", "--app", "site_app:app"), ("flask", "--app", "site_app", "forktask"))


def program(*command: str, folder: Path, stdin: str | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run one of the programs that an installation has, in a folder."""
    path = Path(sys.executable).with_name(command[0])
    return subprocess.run(
        [str(path), *command[1:]],
        cwd=folder,
        env={**os.environ, "FORKTASK_RUNTIME_DIR": str(folder / "run"), **environ},
        capture_output=True,
        text=True,
        check=False,
        input=stdin,
    )
