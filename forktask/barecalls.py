"""Calls of the signal module as the interpreter has them: without the wrappers that make an enum of each number.

For sixty signals these wrappers take a hundred microseconds, and a runner that is kept looks at all of them after each
order.
"""

from __future__ import annotations

import signal
from importlib import import_module
from typing import Any, Final

try:
    _bare: Any = import_module("_signal")
except ImportError:  # another interpreter than CPython
    _bare = signal

set_handler: Final = _bare.signal
handler_of: Final = _bare.getsignal
set_mask: Final = _bare.pthread_sigmask
pending: Final = _bare.sigpending

BLOCK: Final = int(signal.SIG_BLOCK)
REPLACE: Final = int(signal.SIG_SETMASK)
IGNORE: Final = int(signal.SIG_IGN)
