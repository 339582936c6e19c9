"""The parts of the demo that have nothing to do with forktask's API."""

from __future__ import annotations

import csv
import hashlib
import os
import random
import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO
from uuid import uuid4

from forktask import LiveStatus, TaskError

EXAMPLE_ROWS = 200_000


def write_example(path: Path, status: LiveStatus) -> None:
    """Write a CSV file of orders."""
    dice = random.Random(7)  # noqa: S311 - an example
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["order", "day", "city", "product", "pieces", "price"])
        for order in status.track(range(1, EXAMPLE_ROWS + 1), unit="rows"):
            day = f"2025-{dice.randint(1, 12):02}-{dice.randint(1, 28):02}"
            city = dice.choice(["Lisbon", "Kraków", "Oslo", "Athens", "Zürich", "Malmö"])
            product = dice.choice(["kettle", "lamp", "chair", "desk", ""])
            writer.writerow([order, day, city, product, dice.randint(1, 9), round(dice.uniform(5, 400), 2)])


def open_csv(file: TextIO) -> tuple[Iterator[list[str]], list[str], int]:
    """Return the rows of a CSV file, the names of its columns, and about how many rows there are."""
    lines = sum(1 for _ in file)
    file.seek(0)
    head = file.readline()
    file.seek(0)
    reader = csv.reader(file, delimiter=max(",;\t|", key=head.count))
    names = next(reader, None)
    if not names:
        raise TaskError("There is nothing in this file.")
    return reader, names, lines - 1


def fit(rows: Iterable[list[str]], width: int, status: LiveStatus) -> Iterator[list[str | None]]:
    """Yield the rows with as many fields as the table has columns; empty ones as None."""
    for number, row in enumerate(rows, 2):
        if not row:
            continue  # a blank line
        if len(row) != width:
            status.warn(f"Row {number} has {len(row)} fields instead of {width}.")
        yield [*(field or None for field in row[:width]), *[None] * (width - len(row))]


def insert(database: sqlite3.Connection, table: str, width: int, rows: Iterable[list[str | None]]) -> int:
    """Write the rows into a new table, and return how many there were."""
    database.execute(f"CREATE TABLE {table} ({', '.join(f'c{number} NUMERIC' for number in range(width))})")
    try:
        marks = ",".join("?" * width)
        return database.executemany(f"INSERT INTO {table} VALUES ({marks})", rows).rowcount  # noqa: S608 - our name
    except csv.Error as error:
        raise TaskError(f"This is no CSV file: {error}.") from error


def look(database: sqlite3.Connection, table: str, number: int, name: str) -> dict[str, object]:
    """Return what is in a column."""
    facts = "count({0}), count(DISTINCT {0}), min({0}), max({0})".format(f"c{number}")
    found = database.execute(f"SELECT {facts} FROM {table}").fetchone()  # noqa: S608 - our names
    return {"name": name, **dict(zip(("filled", "distinct", "lowest", "highest"), found, strict=True))}


def work() -> None:
    """Keep a processor busy for some hundredths of a second."""
    hashlib.pbkdf2_hmac("sha256", b"", b"", 60_000)


def secret_key(folder: Path) -> bytes:
    """Return the key of this instance; all its worker processes share the file."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"secret_key.{uuid4().hex}"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secrets.token_bytes(32))
    with suppress(FileExistsError):
        os.link(draft, folder / "secret_key")  # a link appears at once and whole, whoever comes first
    draft.unlink()
    return (folder / "secret_key").read_bytes()
