"""Tells what a reference leads to, as a supervisor imports it."""

from __future__ import annotations

import sys

import zoo_report

if __name__ == "__main__":
    print(zoo_report.load(sys.argv[1]))
