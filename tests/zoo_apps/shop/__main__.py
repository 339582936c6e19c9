from __future__ import annotations

from flask import Flask
from zoo_report import Extension, report, task

application = Flask(__name__)
Extension(application)


@task
def main_task() -> None: ...


@application.get("/main")
def main() -> str:
    return ""


if __name__ == "__main__":
    print(report(application))
