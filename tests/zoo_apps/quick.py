"""The zoo, whose tasks a worker takes for quick: so many of them lie ready for a runner that is kept."""

from __future__ import annotations

from forktask.supervisor.relay import Relay
from tests.zoo import *  # noqa: F403 - all its tasks

Relay._seconds = property(lambda relay: 0.001, lambda relay, seconds: None)  # type: ignore[assignment]
