"""A runtime with a supervisor of its own."""

from __future__ import annotations

from tests.runtimes import (
    _shared_runtime,
    _shared_runtime_each,
    make_runtime,
    make_runtime_both,
    make_runtime_each,
    own_runtime,
    own_runtime_both,
    own_runtime_each,
    runtime,
    runtime_each,
)

__all__ = [
    "_shared_runtime",
    "_shared_runtime_each",
    "make_runtime",
    "make_runtime_both",
    "make_runtime_each",
    "own_runtime",
    "own_runtime_both",
    "own_runtime_each",
    "runtime",
    "runtime_each",
]
