"""The application is made under the main guard, and by no function."""

from __future__ import annotations

from flask import Flask
from zoo_report import Extension, report

if __name__ == "__main__":
    app = Flask(__name__)
    Extension(app)
    print(report(app))
