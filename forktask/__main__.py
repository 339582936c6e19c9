"""`python -m forktask`: the command line, and what supervisors and runners are started with."""

from __future__ import annotations

import sys


def main() -> None:
    """Dispatch; a supervisor and a runner load nothing of the command line."""
    verb = sys.argv[1] if len(sys.argv) > 1 else ""
    if verb == "supervisor":
        from forktask.supervisor import boot  # noqa: PLC0415 - each verb loads only what it needs

        boot.main()
    elif verb == "run":
        from forktask import spawned  # noqa: PLC0415

        spawned.main(sys.argv[3:])
    else:
        from forktask.cli import main as command_line  # noqa: PLC0415

        command_line()


if __name__ == "__main__":
    main()
