"""What does a poll cost the server?

Requests a second of one gunicorn sync worker, interleaved: a poll of one bar (token and permission checked) on SQLite
and PostgreSQL, alone and with a million other rows beside it; the same partial rendered from a constant; 304; 20
bars in one request; and celery-progress on Redis, where it is installed (the extra `bench`).
Run it with `python benchmarks/poll.py`; TEST_POSTGRESQL_URL and TEST_REDIS_URL say where the servers are.
"""

from __future__ import annotations

import importlib.util
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from _tables import median, print_head, show
from _timing import SMOKE, clean_up_when_told_to_end, rounds
from sqlalchemy import create_engine, make_url, text

ROOT = Path(__file__).parents[1]
ROUNDS = rounds(9, 1)
SECONDS = 0.05 if SMOKE else 1.0
CLIENTS = 4
OTHERS = 1000 if SMOKE else 1_000_000
MANY = 20
POSTGRESQL = os.environ.get("TEST_POSTGRESQL_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
REDIS = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
HAS_PEER = not SMOKE and all(importlib.util.find_spec(name) for name in ("celery", "celery_progress", "redis"))


@dataclass
class Case:
    """One address of one server, and what was measured of it."""

    port: int
    path: str
    headers: str
    taken: list[float] = field(default_factory=list)
    status: bytes = b"200"

    @property
    def request(self) -> bytes:
        """The request as it goes over the wire."""
        return f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{self.headers}\r\n".encode()


def ask(port: int, request: bytes) -> bytes:
    """Send a request over a connection of its own; return the answer."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request)
        pieces = []
        while piece := connection.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)


def rate(case: Case) -> float:
    """Return requests a second from a few clients at once."""
    counts = [0] * CLIENTS
    end = time.monotonic() + SECONDS

    def run(number: int) -> None:
        while not counts[number] or time.monotonic() < end:
            answer = ask(case.port, case.request)
            if answer[9:12] != case.status:
                raise RuntimeError(answer.decode())
            counts[number] += 1

    begin = time.monotonic()
    threads = [threading.Thread(target=run, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - begin)


@contextmanager
def server(database: str) -> Iterator[int]:
    """Run the site with one sync worker; yield its port."""
    command = [sys.executable, "-m", "gunicorn", "--worker-class", "sync", "--workers", "1", "--bind", "127.0.0.1:0"]
    environment = {**os.environ, "POLL_DATABASE": database, "POLL_REDIS": REDIS if HAS_PEER else ""}
    process = subprocess.Popen(
        [*command, "benchmarks._poll_site:app"],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if found := re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", line):
                threading.Thread(target=process.stderr.read, daemon=True).start()
                yield int(found[1])
                return
        raise RuntimeError("the server did not start")
    finally:
        process.terminate()
        process.wait()


@contextmanager
def databases(folder: str) -> Iterator[dict[str, str]]:
    """Yield the databases to measure: each twice, for one of them gets other rows."""
    files = {"SQLite": f"sqlite:///{folder}/few.sqlite", "SQLite, full": f"sqlite:///{folder}/full.sqlite"}
    if SMOKE:
        yield files
        return
    names = [f"forktask_poll_{os.getpid()}_{number}" for number in range(2)]
    admin = create_engine(make_url(POSTGRESQL).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for name in names:
            connection.execute(text(f"CREATE DATABASE {name}"))
        try:
            urls = [make_url(POSTGRESQL).set(database=name).render_as_string(hide_password=False) for name in names]
            yield files | {"PostgreSQL": urls[0], "PostgreSQL, full": urls[1]}
        finally:
            for name in names:
                connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def fill(url: str) -> None:
    """Write the other rows: final ones, each with an id, an owner and times of its own."""
    address = make_url(url)
    is_sqlite = address.get_backend_name() == "sqlite"
    engine = create_engine(address if is_sqlite else address.set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        columns = list(connection.execute(text("SELECT * FROM forktask_status LIMIT 1")).keys())
        own = {"id": "lower(hex(randomblob(16)))" if is_sqlite else "gen_random_uuid()", "state": "'completed'"}
        own |= {"owner": "'u' || n % 1000", "visitor": "NULL", "finished_at": "created_at"}
        picked = ", ".join(own.get(name, f's."{name}"') for name in columns)
        quoted = ", ".join(f'"{name}"' for name in columns)
        numbers = (
            f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {OTHERS})"
            if is_sqlite
            else f"WITH numbers(n) AS (SELECT generate_series(1, {OTHERS}))"
        )
        source = "(SELECT * FROM forktask_status LIMIT 1) s"
        connection.execute(
            text(f"INSERT INTO forktask_status ({quoted}) {numbers} SELECT {picked} FROM numbers, {source}")
        )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    engine.dispose()


def begin(port: int) -> tuple[str, list[str]]:
    """Write the rows of one browser; return its cookie and the tokens."""
    answer = ask(port, f"POST /begin/{MANY} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n".encode()).decode()
    cookie = re.search(r"Set-Cookie: ([^;]+)", answer)
    assert cookie and answer[9:12] == "200", answer
    return f"Cookie: {cookie[1]}\r\n", re.findall(r'"([\w.-]+)"', answer.partition("\r\n\r\n")[2])


def cases_of(port: int, name: str) -> dict[str, Case]:
    """Return the cases of one server, each answered as it should be."""
    cookie, tokens = begin(port)
    one, many = (f"/forktask/progress?t={'&t='.join(some)}" for some in (tokens[:1], tokens))
    first = ask(port, Case(port, one, cookie).request).decode()
    tag = re.search(r'ETag: W/("\w+")', first)
    assert tag, first
    assert b'"bars": [{"html"' in ask(port, Case(port, one, cookie).request) or '"html"' in first
    found = {
        f"poll, {name}": Case(port, one, cookie),
        f"304, {name}": Case(port, one, f"{cookie}If-None-Match: {tag[1]}\r\n", status=b"304"),
        f"{MANY} bars, {name}": Case(port, many, cookie),
    }
    if name == "SQLite":
        found["constant"] = Case(port, "/constant", cookie)
        if HAS_PEER:
            ask(port, b"POST /celery/begin HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n")
            found["celery-progress, Redis"] = Case(port, "/celery?id=forktask-poll-benchmark", "")
    return found


def main() -> None:
    """Print the table and the ratios."""
    cases: dict[str, Case] = {}
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        for name, url in stack.enter_context(databases(folder)).items():
            port = stack.enter_context(server(url))
            cases |= cases_of(port, name)
            if name.endswith("full"):
                fill(url)
        for _ in range(ROUNDS):
            for case in cases.values():
                case.taken.append(rate(case))
    print_head("Poll", "flask", "gunicorn", "celery", "celery-progress")
    rows = [(name, *(f"{figure:,.0f}" for figure in spread(case.taken))) for name, case in cases.items()]
    title = f"Requests a second, one sync worker; {ROUNDS} rounds of {SECONDS:g} s"
    show(title, ("", "median", "least", "most"), rows)
    show("Ratios, medians of the rounds", ("", "×"), ratios(cases))


def spread(taken: list[float]) -> tuple[float, float, float]:
    """Return median, least and most."""
    return median(taken), min(taken), max(taken)


def ratios(cases: dict[str, Case]) -> list[tuple[str, str]]:
    """Return what is compared, of what was measured."""
    found = []
    for what, over, factor in RATIOS:
        if what in cases and over in cases:
            pairs = zip(cases[what].taken, cases[over].taken, strict=True)
            found.append((f"{what} / {over}", f"{median([factor * a / b for a, b in pairs]):.2f}"))
    return found


RATIOS = (
    ("poll, SQLite", "constant", 1),
    ("poll, PostgreSQL", "constant", 1),
    ("poll, SQLite", "celery-progress, Redis", 1),
    (f"{MANY} bars, SQLite", "poll, SQLite", MANY),
    (f"{MANY} bars, PostgreSQL", "poll, PostgreSQL", MANY),
    ("304, SQLite", "poll, SQLite", 1),
    ("304, PostgreSQL", "poll, PostgreSQL", 1),
    ("poll, SQLite, full", "poll, SQLite", 1),
    ("poll, PostgreSQL, full", "poll, PostgreSQL", 1),
)


if __name__ == "__main__":
    clean_up_when_told_to_end()
    main()
