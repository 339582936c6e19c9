"""The zoo, for a supervisor that looks at the table once an hour by itself."""

from __future__ import annotations

from forktask.supervisor import loop
from tests.zoo import *  # noqa: F403 - all its tasks

loop.LOOK_INTERVAL = 3600.0  # type: ignore[attr-defined]  # it has it from another module
