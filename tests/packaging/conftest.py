"""The wheel and the source archive, built once, and an environment into which the wheel is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Archives:
    """What would be published."""

    wheel: Path
    """Built from the source archive."""
    direct: Path
    """Built from the checkout."""
    sdist: Path


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment with the wheel in it; its dependencies are those of this environment."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def run(self, *command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a command away from the checkout, so that only the installed package can be found."""
        environ = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "MYPYPATH")}
        return subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Archives:
    """Build from a copy, so that nothing is written into the checkout."""
    checkout = tmp_path_factory.mktemp("checkout") / "forktask"
    shutil.copytree(
        ROOT, checkout, symlinks=True, ignore=shutil.ignore_patterns(".git", ".venv*", "instance", "*_cache")
    )
    outputs = [tmp_path_factory.mktemp(name) for name in ("from-sdist", "from-checkout")]
    for arguments, output in (([], outputs[0]), (["--wheel"], outputs[1])):
        build(checkout, output, *arguments)
    return Archives(
        wheel=next(outputs[0].glob("*.whl")),
        direct=next(outputs[1].glob("*.whl")),
        sdist=next(outputs[0].glob("*.tar.gz")),
    )


def build(checkout: Path, output: Path, *arguments: str) -> None:
    """Build without isolation: the backend is here, and nothing has to be downloaded."""
    command = [sys.executable, "-m", "build", "--no-isolation", *arguments, "--outdir", str(output), str(checkout)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def installed(archives: Archives, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Install the wheel beside the dependencies of this environment, which a .pth line lends."""
    environment = Environment(tmp_path_factory.mktemp("environment"))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment.folder], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(environment.python), "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", "--no-index", "--no-deps", str(archives.wheel)], check=True)
    # A folder named in a .pth file has its own .pth files ignored, so the editable install stays behind.
    packages = sysconfig.get_path("purelib", vars={"base": str(environment.folder)})
    Path(packages, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return environment
