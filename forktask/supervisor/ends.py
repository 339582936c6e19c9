"""What connects a supervisor with one runner, both ends of it: made before there is the runner."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from dataclasses import dataclass

from forktask.progress import Page, memory_file


@dataclass(slots=True, kw_only=True)
class Ends:
    """The shared page, the socket and the output pipe.

    Attributes:
        memory: Descriptor of the page; None where a sandbox forbids memory files: then only a fork shares it.
    """

    page: Page
    ours: socket.socket
    read: int
    memory: int | None
    theirs: socket.socket
    write: int

    @classmethod
    def make(cls, name: str, *, needs_file: bool = False) -> Ends:
        """Make them, with such a name of the page.

        Args:
            needs_file: The page is for another program, which no fork gives it.

        Raises:
            OSError: No descriptor is left, or no memory.
        """
        with ExitStack() as undone:
            memory = memory_file(name) if needs_file else _memory_file(name)
            if memory is not None:
                undone.callback(os.close, memory)
            page = Page.anonymous() if memory is None else Page.from_descriptor(memory)
            undone.callback(page.close)
            ours, theirs = socket.socketpair()
            undone.callback(ours.close)
            undone.callback(theirs.close)
            read, write = os.pipe()
            undone.pop_all()
        return cls(page=page, ours=ours, read=read, memory=memory, theirs=theirs, write=write)

    def close_ours(self) -> None:
        """Close what the supervisor would keep: it came to nothing."""
        self.page.close()
        self.ours.close()
        os.close(self.read)

    def close_theirs(self) -> None:
        """Close what the runner has by now, or never will have."""
        if self.memory is not None:
            os.close(self.memory)
        self.theirs.close()
        os.close(self.write)


def _memory_file(name: str) -> int | None:
    try:
        return memory_file(name)
    except OSError:  # a sandbox that forbids them; a task needs no name to run
        return None
