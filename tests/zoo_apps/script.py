"""A script without a main guard, which may do anything when it is imported."""

from __future__ import annotations

from single import app
from zoo_report import report

print(report(app))
