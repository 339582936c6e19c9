"""An application inside a package; imports relatively."""

from __future__ import annotations

from flask import Flask
from zoo_report import Extension, report, task

from . import parts

site = Flask(__name__)
Extension(site)
parts.register(site)


@task
def site_task() -> None: ...


if __name__ == "__main__":
    print(report(site))
