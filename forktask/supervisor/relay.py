"""A runner that is kept for many short tasks, as the supervisor has it."""

from __future__ import annotations

import errno
import json
import secrets
import socket
from collections import deque
from typing import Any, Final

from forktask import kept
from forktask.capture import RECORD
from forktask.definition import TaskDefinition
from forktask.process import Exit
from forktask.rows import RunRow
from forktask.supervisor.charge import Charge, Runner
from forktask.supervisor.order import Order

HORIZON: Final = 0.05
"""Seconds of work that lie ready for a runner; a task that takes longer has nothing ready behind it."""
MOST_AHEAD: Final = 100
"""Most orders that it has at once."""
PATIENCE: Final = 0.2
"""Seconds after which what lies ready behind a task is given back, to be run by others."""
FULL: Final = (errno.EAGAIN, errno.ETOOMANYREFS)
"""With these the kernel says that an order is to be put in later."""
MEMORY: Final = 0.2
"""What a new duration counts beside those before."""


class Relay:
    """A runner that is kept: what it executes, and the orders that lie ready for it.

    They lie in a box, see `kept`: what the runner has not taken can be taken back, and each comes to one of us alone.

    Args:
        tasks: So many it is given, then it leaves.

    Raises:
        OSError: No descriptor is left.
    """

    def __init__(self, runner: Runner, tasks: int) -> None:
        self.runner = runner
        self.left = tasks
        self.is_retired = False
        self.reserved = 0
        """Places that are kept for rows which are just being claimed."""
        self.refused: OSError | None = None
        """Why the first order that is not in the box cannot be put in."""
        self.charges: deque[Charge] = deque()
        """What it executes, and what lies ready, in order."""
        self._unsent: deque[tuple[int, bytes]] = deque()
        self._numbers = 0
        self._seconds: float | None = None
        self._cpu_seconds = 0.0
        self._box, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def introduce(self) -> None:
        """Tell the runner that it will be kept.

        Raises:
            OSError: The kernel refuses to pass the box.
        """
        mark = f"{RECORD}{secrets.token_hex(8)}\n"
        self.runner.output.divide_at(mark.encode())
        self.runner.channel.post({"mark": mark})
        socket.send_fds(self.runner.channel.sock, [b"B"], [self._theirs.fileno()])

    @property
    def is_idle(self) -> bool:
        """True if it has nothing to do, and will have nothing."""
        return not self.charges and not self.reserved

    @property
    def load(self) -> int:
        """How many orders it has, with those that are just being claimed for it."""
        return len(self.charges) + self.reserved

    @property
    def _most(self) -> int:
        """How many orders it should have at once, by how long those before took."""
        most = 1 if self._seconds is None else min(MOST_AHEAD, 1 + int(HORIZON / max(self._seconds, 1e-6)))
        return min(most, self.left + len(self.charges))

    @property
    def room(self) -> int:
        """How many orders more it may have."""
        return 0 if self.is_retired or self._is_slow(HORIZON) else max(0, self._most - self.load)

    @property
    def wanted(self) -> int:
        """How many are worth asking the table for: none while it has half of what it may have."""
        load, most = self.load, self._most
        return 0 if self.is_retired or load > most // 2 or self._is_slow(HORIZON) else most - load

    def _is_slow(self, seconds: float) -> bool:
        """Return True if nothing should wait for what it executes: that has taken so long, or stands still."""
        if not self.charges:
            return False
        now = self.charges[0]
        return now.stop is not None or now.paused_at is not None or now.active_seconds > seconds

    def reserve(self) -> Charge:
        """Keep a place for a row that will be claimed for this runner."""
        self.reserved += 1
        return Charge(self.runner, self._numbers + 1)

    def cancel(self) -> None:
        """Free a place: the row came to nothing."""
        self.reserved -= 1

    def hand(self, charge: Charge, row: RunRow, order: Order, definition: TaskDefinition) -> bool:
        """Put a claimed row into the box; return True if the runner begins with it now."""
        self.reserved -= 1
        self.left -= 1
        self.charges.append(charge)
        self._numbers += 1
        charge.number = self._numbers  # in the order of the box
        message = charge.take(row, order, definition) | {"number": charge.number}
        self._unsent.append((charge.number, json.dumps(message).encode()))
        self.flush()
        return len(self.charges) == 1

    def flush(self) -> None:
        """Put in what there was no room for before; `refused` says why nothing can be put in."""
        try:
            while self._unsent:
                kept.put(self._box, self._unsent[0][1])
                self._unsent.popleft()
            if self.is_retired:
                self._box.close()
        except OSError as error:
            if error.errno not in FULL:
                self.refused = error

    @property
    def next_unsent(self) -> int:
        """Return the number of what is to be put in next; 0: all is in."""
        return self._unsent[0][0] if self._unsent else 0

    def pass_on(self, charge: Charge) -> Exit:
        """Go on to the next order after the last word of one; return what is known of how that went."""
        self.charges.popleft()
        word: dict[str, Any] = charge.last_word or {}
        if charge.stop is not None:
            self.retire()  # what was to end that task must meet no other
        if charge.paused_at is not None:
            charge.resume()  # it was over already
        seconds, cpu_seconds = float(word["seconds"]), float(word["cpu"])
        self._seconds = seconds if self._seconds is None else MEMORY * seconds + (1 - MEMORY) * self._seconds
        self._cpu_seconds += cpu_seconds
        self.flush()
        return Exit(exit_code=None, signal=None, cpu_seconds=cpu_seconds, peak_memory=int(word["memory"]))

    def last_exit(self, exit: Exit) -> Exit:
        """Return the share of what it executed last in how the runner ended."""
        return Exit(
            exit_code=exit.exit_code,
            signal=exit.signal,
            cpu_seconds=max(0.0, exit.cpu_seconds - self._cpu_seconds),
            peak_memory=exit.peak_memory,
        )

    def take_back(self, *, all_of_them: bool = False) -> list[Charge]:
        """Take back what has not begun; what comes next is left to the runner unless `all_of_them` are wanted."""
        found = dict([*self._drained(), *self._unsent])  # the runner takes on meanwhile, perhaps from the middle
        self._unsent.clear()
        self.refused, is_refused = None, self.refused is not None
        if len(found) == len(self.charges) and found and not (all_of_them or self.is_retired or is_refused):
            first = self.charges[0].number
            self._unsent.append((first, found.pop(first)))
            self.flush()
        back = [charge for charge in self.charges if charge.number in found]
        self.charges = deque(charge for charge in self.charges if charge.number not in found)
        self.left += len(back)
        return back

    def _drained(self) -> list[tuple[int, bytes]]:
        found = []
        try:
            while (message := kept.take(self._theirs, socket.MSG_DONTWAIT)) is not None:
                found.append((message["number"], json.dumps(message).encode()))
        except BlockingIOError:
            pass
        return found

    @property
    def should_give_back(self) -> bool:
        """True if what lies ready should not wait any longer for what is executed."""
        waits = len(self.charges) > 1 and self._is_slow(PATIENCE)
        return waits or (self.is_stopping and not self.charges[0].has_begun)

    @property
    def is_stopping(self) -> bool:
        """True if what it executes is to end: nothing may lie ready when it is signalled."""
        return bool(self.charges) and self.charges[0].stop is not None

    def retire(self) -> None:
        """Have it leave when it has nothing left to do."""
        self.is_retired = True
        if not self._unsent:
            self._box.close()

    def close(self) -> None:
        """Close the box; after the runner was reaped."""
        self._box.close()
        self._theirs.close()
