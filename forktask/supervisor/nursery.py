"""The nursery: a quiet process from which runners are forked, though they are children of the supervisor.

The supervisor writes to some megabytes of its pages all the time, counts of references most of all. What it forks
keeps the pages as they were, alone: so each runner would cost these megabytes. The nursery is forked from it once,
writes next to nothing (`tending`), and forks each runner as a child of its own parent.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import selectors
import socket
from collections import deque
from collections.abc import Callable
from functools import partial

from forktask import forks, process
from forktask.birth import SPARE, Birth
from forktask.host import descent
from forktask.progress import Page
from forktask.supervisor.ends import Ends
from forktask.supervisor.tending import ANSWER, AT_LEISURE, IN_HASTE, NAME, tend

log = logging.getLogger("forktask.supervisor")

PATIENCE = 0.2
"""Seconds an order waits for the nursery; then the supervisor forks, and asks no more until it is answered."""
AT_ONCE = 16
"""Requests under way: more descriptors in flight than a process may have open are refused (unix(7), ETOOMANYREFS)."""
NOT_HERE = (errno.ENOSYS, errno.EPERM, errno.EINVAL)
"""Answers that mean that it will never do: a sandbox, another machine or C library."""
DEATHS = 3
"""So many nurseries in a row that died before they had forked anything, and there is no other."""


class Nursery:
    """The nursery as the supervisor has it. It is forked when it is first needed, and again when it has died.

    Args:
        selector: Of the loop, which then hears it.
        born: Called with the pid of each new runner, what connects us with it, and whether it is waited for.
        is_known: Tells whether a child of ours is a runner that we know.
        prepare: Makes the supervisor ready to be forked; returns what runners are born with, and the pages of those
            that there are.
    """

    def __init__(
        self,
        *,
        selector: selectors.BaseSelector,
        born: Callable[[int, Ends, bool], None],
        is_known: Callable[[int], bool],
        prepare: Callable[[], tuple[Birth, list[Page]]],
    ) -> None:
        self.selector = selector
        self.born = born
        self.is_known = is_known
        self.prepare = prepare
        self.is_refused = False
        self._waiting: deque[Ends] = deque()
        self._is_mute = False
        self._deaths = 0
        self._sock: socket.socket | None = None
        self._pid = self._pidfd = self._start_ticks = 0
        self._name = ""

    @property
    def pid(self) -> int | None:
        """Its pid while it is there."""
        return self._pid if self._sock is not None else None

    @property
    def expected(self) -> int:
        """How many runners are to come; none that anybody could wait for while it does not answer."""
        return 0 if self._is_mute else len(self._waiting)

    def open(self) -> bool:
        """Fork it unless it is there; return False if there can be none.

        Raises:
            OSError: The kernel refuses a process.
        """
        if self._sock is not None or self.is_refused:
            return not self.is_refused
        birth, pages = self.prepare()
        self._name = descent.page_name(birth.supervisor_id)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._pid = forks.fork(partial(tend, birth, theirs, pages))
            self._pidfd = self._opened_pidfd()
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._sock = ours
        self._start_ticks = process.identify(self._pid).start_ticks
        self.selector.register(self._pidfd, selectors.EVENT_READ, self.hear)
        self.selector.register(ours, selectors.EVENT_READ, self.hear)
        log.info("nursery pid=%d", self._pid)
        return True

    def _opened_pidfd(self) -> int:
        try:
            return os.pidfd_open(self._pid)
        except OSError:
            process.end_child(self._pid)
            raise

    def ask(self, *, has_time: bool = False) -> bool:
        """Ask for a runner; return False if it cannot be asked now.

        Args:
            has_time: No order waits for it, so that it may prepare for one.

        Raises:
            OSError: The kernel refuses a process, or a descriptor.
        """
        if not self.open() or self._sock is None or self._is_mute or len(self._waiting) >= AT_ONCE:
            return False
        ends = Ends.make(self._name)
        try:
            if ends.memory is not None:
                self._sock.setblocking(False)
                how, numbers = AT_LEISURE if has_time else IN_HASTE, (ends.memory, ends.theirs.fileno(), ends.write)
                socket.send_fds(self._sock, [how], numbers)
                self._waiting.append(ends)
                return True
        except OSError:  # it has ended, and that will be heard
            log.debug("the nursery cannot be asked", exc_info=True)
        finally:
            ends.close_theirs()
        ends.close_ours()
        return False

    def bear(self) -> None:
        """Have a runner born now, if it can be done soon.

        Raises:
            OSError: The kernel refuses a process, or a descriptor.
        """
        if not (self.expected or self.ask()) or self._take_in(PATIENCE):
            return
        self.hear()  # it may have ended
        if self._waiting:
            self._is_mute = True
            log.warning("the nursery pid=%d does not answer", self._pid)

    def hear(self) -> None:
        """Take in what it has answered, and see whether it has ended."""
        try:
            while self._take_in(0):
                continue
        except OSError as error:
            log.warning("cannot fork a spare: %s", error)
        if self._sock is not None and process.has_ended(self._pid):
            self._deaths += 1
            self.is_refused = self._deaths >= DEATHS
            self._bury()

    def close(self) -> None:
        """End it, after what it had to say."""
        with contextlib.suppress(OSError):
            while self._waiting and self._take_in(PATIENCE):
                continue
        self.hear()
        if self._sock is not None:
            self._bury()

    def _take_in(self, patience: float) -> bool:
        """Take in one answer; return False if none came in so many seconds.

        Raises:
            OSError: The answer is that the kernel refuses a process.
        """
        answer = self._receive(patience)
        if answer is None:
            return False
        ends = self._waiting.popleft()
        self._is_mute = self._is_mute and bool(self._waiting)
        if answer > 0:
            self._deaths = 0
            self.born(answer, ends, patience > 0)
            return True
        ends.close_ours()
        if -answer not in NOT_HERE:
            raise OSError(-answer, os.strerror(-answer))
        self.is_refused = True
        self._bury()
        return True

    def _receive(self, patience: float) -> int | None:
        if self._sock is None:
            return None
        self._sock.settimeout(patience)
        try:
            data = self._sock.recv(ANSWER.size)
        except OSError:
            return None
        return ANSWER.unpack(data)[0] if data else None

    def _bury(self) -> None:
        assert self._sock is not None
        for watched in (self._sock, self._pidfd):
            self.selector.unregister(watched)
        self._sock.close()
        self._sock = None
        os.close(self._pidfd)
        exit = process.end_child(self._pid)
        log.info("ended nursery pid=%d exit=%s signal=%s", self._pid, exit.exit_code, exit.signal)
        unanswered, self._waiting = self._waiting, deque()
        self._is_mute = False
        for ends in unanswered:
            ends.close_ours()
        if unanswered:
            self._end_strays()

    def _end_strays(self) -> None:
        """End runners that were forked, and of which we were not told."""
        for pid in strays(self._pid, self._start_ticks, self.is_known):
            log.warning("ended pid=%d, of which the nursery said nothing any more", pid)
            process.end_child(pid)


def strays(nursery: int, start_ticks: int, is_known: Callable[[int], bool]) -> list[int]:
    """Return the children of ours, other than those that we know, that were forked after the nursery.

    Within one tick, a hundredth of a second, that is who has the higher pid: the kernel gives them in turn.
    """
    born = {pid: (ticks, pid) for pid, ticks in process.children().items()}
    unknown = [pid for pid, when in born.items() if when > (start_ticks, nursery) and not is_known(pid)]
    # As pid 1 of a container we also have the orphans of tasks, which are called otherwise.
    return [pid for pid in unknown if process.name_of(pid) in (NAME, SPARE, b"")]
