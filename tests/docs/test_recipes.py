"""The recipes of the documents work as they stand there."""

from __future__ import annotations

import json
import shlex
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import create_engine, text

from forktask import clock
from forktask.rows import LogRow
from forktask.store import Store
from tests.cli.site_example import program
from tests.databases import KINDS, database_url
from tests.docs.pages import blocks, file
from tests.docs.serving import Folder
from tests.store.examples import a_supervisor, an_end, running

PROGRAM = """
import json
from flask import Flask, session
from forktask.web import ForkTask
from sync_task import SyncTask

app = Flask(__name__)
app.secret_key = "secret"
ForkTask(app)

if __name__ == "__main__":
    with app.test_request_context():
        session["access_token"] = "swordfish"
        status = SyncTask.initiate().wait(30)
        print(json.dumps([status.state, status.result, [row.text for row in status.log()]]))
"""

TABLES = ("forktask_status", "forktask_attempt", "forktask_log", "forktask_supervisor", "forktask_completion")


def test_encrypted_shell_arguments_reach_the_task_and_nobody_else(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    show = '        print(open("/proc/self/cmdline").read().replace("\\0", " "))\n'
    recipe = file("docs/security.md", "sync_task.py")
    before, execute, after = recipe.partition("-> int:\n")
    folder.write("sync_task.py", before + execute + show + after)
    folder.write("app.py", PROGRAM)
    key = Fernet.generate_key().decode()
    output = folder.run("-W", "error", "app.py", SYNC_KEY=key)
    state, result, log = json.loads(output)
    assert (state, result) == ("completed", len("swordfish"))
    _, _, arguments = "".join(log).partition(" run ")
    _, shown = arguments.split()
    assert Fernet(key).decrypt(shown) == b"swordfish"
    assert "swordfish" not in output


@pytest.mark.parametrize("kind", KINDS)
def test_old_rows_are_deleted_with_their_attempts_and_logs(kind: str, tmp_path: Path) -> None:
    (line,) = [block for block in blocks("docs/operations.md", "crontab") if " purge " in block]
    words = shlex.split(line.partition("/forktask --app mysite:app ")[2])
    with database_url(kind, tmp_path) as url:
        store = Store(url)
        now = clock.now()
        for age in (timedelta(days=40), timedelta(days=31), timedelta(days=29)):
            finish(store, now - age)
        running(store)
        done = program("forktask", *words, folder=tmp_path, FORKTASK_DATABASE_URL=url)
        assert (done.returncode, done.stdout) == (0, "2 deleted\n"), done.stderr
        engine = create_engine(url)
        try:
            with engine.begin() as connection:
                left = {table: connection.scalar(text(f"SELECT count(*) FROM {table}")) for table in TABLES}
        finally:
            engine.dispose()
            store.close()
    assert left == {"forktask_status": 2} | dict.fromkeys(TABLES[1:], 1)


def finish(store: Store, finished_at: datetime) -> None:
    """Write one status that ended then, with an attempt, a line of log, and a supervisor that left."""
    row = running(store)
    line = LogRow(row.id, row.attempt, 0, finished_at, None, None, "Done\n")
    store.save([], [an_end(row, finished_at=finished_at)], [line])
    store.register(a_supervisor(stopped_at=finished_at))
    store.begin_completion(row.id, "shop.paid", row.id, patience=1)
