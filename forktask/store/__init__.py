"""Every SQL statement of forktask, on SQLite, PostgreSQL and MariaDB."""

from __future__ import annotations

from typing import Any, Final

from forktask.queuename import ALL_QUEUES
from forktask.states import FINAL, State
from forktask.store.byhand import ByHand
from forktask.store.claims import Claims
from forktask.store.completions import Completions
from forktask.store.database import Database
from forktask.store.failures import StoreRefusedError, StoreUnavailableError
from forktask.store.figures import Figures
from forktask.store.inserting import Inserting, Placed
from forktask.store.limits import Limits
from forktask.store.lines import MOST_AHEAD, Lines
from forktask.store.listing import Listing
from forktask.store.notices import Listener, Notices
from forktask.store.orders import Orders
from forktask.store.queues import Queues
from forktask.store.removing import Removing
from forktask.store.saving import Saving, insert_once, select_requests, update_end, update_sample
from forktask.store.schedules import Schedules
from forktask.store.statuses import SeenBy, Statuses, select_status
from forktask.store.supervisors import Supervisors, update_heartbeat
from forktask.store.waiting import Waiting
from forktask.tables import ATTEMPT, LOG

HOT: Final[tuple[tuple[Any, ...], ...]] = (
    (select_status,),
    (update_sample,),
    (update_heartbeat,),
    *((update_end, state, has_last, False) for state in (*FINAL, State.QUEUED) for has_last in (True, False)),
    *((update_end, State.QUEUED, has_last, True) for has_last in (True, False)),
)

COUNTS: Final = (1, 2, 4, 8, 16)
"""Rows at once for which statements are compiled ahead."""

__all__ = [
    "ALL_QUEUES",
    "MOST_AHEAD",
    "Listener",
    "Placed",
    "SeenBy",
    "Store",
    "StoreRefusedError",
    "StoreUnavailableError",
]


class Store(
    Inserting,
    Statuses,
    Claims,
    Saving,
    Orders,
    Supervisors,
    Waiting,
    Lines,
    Queues,
    Limits,
    Completions,
    Schedules,
    Listing,
    Removing,
    ByHand,
    Figures,
    Notices,
):
    """The tables of one database.

    Its methods raise `StoreUnavailableError` where the same call may do later, `StoreRefusedError` where it will not.
    They may be called from any thread.

    Args:
        supervisor: For the loop of a supervisor: nothing waits for long, one connection is held.
    """

    def __init__(self, url: str, *, supervisor: bool = False) -> None:
        self.url = url
        self.database = Database(url, supervisor=supervisor)
        self._is_ensured = False

    def create_tables(self) -> None:
        """Create what is missing of the tables; any number of processes may do so at once.

        Every other method does it, too, when it finds that there are none.
        """
        self.database.create_tables()
        self._is_ensured = True

    def expect_tables(self) -> None:
        """Create none from now on: who only looks wants to hear that a database has none.

        Raises:
            TablesMissingError: Now, or at a later call.
        """
        self.database.expect_tables()

    def ensure_tables(self) -> None:
        """Create the tables unless this store did so before."""
        if not self._is_ensured:
            self.create_tables()

    def drop_tables(self) -> None:
        """Drop the tables and all that is in them."""
        self.database.drop_tables()
        self._is_ensured = False

    def prepare(self) -> None:
        """Compile what a supervisor's loop runs, before it forks: each page written later is copied."""

        def work(cursor: object) -> None:
            for build, *arguments in HOT:
                self.database.compiled(build, *arguments)
            for table in (ATTEMPT, LOG):
                self.database.compiled(insert_once, table, self.database.kind)
            self._prepare_claims(COUNTS)
            for count in COUNTS:
                self.database.compiled(select_requests, count)

        self.database.run(work)

    def close_files(self) -> None:
        """Close SQLite before a fork; of a server a child closes the sockets by number."""
        self.database.close_files()

    def close(self) -> None:
        """Close idle connections: before a fork, and at the end."""
        self.database.close()

    def socket_descriptors(self) -> list[int]:
        """Return the descriptors of open connections to a server, for a child to close by number."""
        return self.database.socket_descriptors()
