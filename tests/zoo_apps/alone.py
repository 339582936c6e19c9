"""The application is made under the main guard, and so is the function that makes it."""

from __future__ import annotations

from flask import Flask
from zoo_report import Extension, report

if __name__ == "__main__":

    def make() -> Flask:
        made = Flask(__name__)
        Extension(made)
        return made

    app = make()
    print(report(app))
