"""The soak as part of the suite: a minute while the other workers do other things."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.process.site import ROOT


@pytest.mark.timeout(1800)  # a rest takes as long as the machine needs
def test_a_soak_breaks_no_invariant() -> None:
    command = [sys.executable, "-m", "tests.soak", "--minutes", os.environ.get("SOAK_MINUTES", "1")]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
