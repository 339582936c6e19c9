"""A runtime with a supervisor of its own."""

from __future__ import annotations

from tests.runtimes import make_runtime, make_runtime_each, runtime, runtime_each

__all__ = ["make_runtime", "make_runtime_each", "runtime", "runtime_each"]
