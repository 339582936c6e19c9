"""A small application that shows forktask: import a CSV file and watch it.

`python demo_app.py`, `flask --app demo_app run` or `gunicorn --threads 8 demo_app:app`.
"""

from __future__ import annotations

import ast
import os
import signal
import sqlite3
import sysconfig
from contextlib import closing
from pathlib import Path
from uuid import UUID, uuid4

from flask import Flask, Response, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from demo.checkout import checkout, forktask
from demo.later import later
from demo.parts import EXAMPLE_ROWS, fit, insert, look, open_csv, secret_key, work, write_example
from demo.quick import quick
from forktask import LiveStatus, StatusNotFoundError, Task, TaskStatus


class ImportTask(Task):
    """Read a CSV file into a table of its own, and look at what is in it."""

    title = "CSV import"
    timeout = 600
    phases = ("Writing the example", "Importing", "Looking at the columns")

    def execute(self, status: LiveStatus) -> dict[str, object]:
        path = Path(status.settings["path"])
        if status.settings["example"]:
            with status.phase("Writing the example", 20):
                write_example(path, status)
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            reader, names, total = open_csv(file)
            table = f"import_{status.id.hex}"
            with closing(sqlite3.connect(Path(app.instance_path, "demo.sqlite"))) as database, database:
                with status.phase("Importing", 60):
                    rows = status.track(reader, total=total, unit="rows")
                    count = insert(database, table, len(names), fit(rows, len(names), status))
                with status.phase("Looking at the columns", 20):
                    columns = [look(database, table, *pair) for pair in status.track(list(enumerate(names[:12])))]
        path.unlink()
        status.update(100, f"{count:,} rows in {len(names)} columns")
        return {"rows": count, "columns": columns}


class ReportTask(Task):
    """Count the functions of Python's own library; nobody knows how many files there are."""

    title = "Function count"

    def execute(self, status: LiveStatus) -> dict[str, int]:
        files = Path(sysconfig.get_paths()["stdlib"]).rglob("*.py")
        skipped = {"site-packages", "test", "tests"}
        functions = 0
        for path in status.track((file for file in files if not skipped & {*file.parts}), unit="files"):
            try:
                tree = ast.parse(path.read_bytes())
            except (SyntaxError, ValueError) as error:
                status.warn(f"{path.name} is no Python: {error}")
                continue
            functions += sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in ast.walk(tree))
            status.update(message=f"{functions:,} functions so far")
        status.update(message=f"{functions:,} functions")
        return {"functions": functions}


class FailingTask(Task):
    """Fail in the middle, with an error whose text is nobody's business."""

    title = "Invoices"

    def execute(self, status: LiveStatus) -> None:
        for number in status.track(range(120), message="Sending invoices", unit="invoices"):
            work()
            if number == 80:
                raise ConnectionError("mail.internal:25 refused password=swordfish")


class CrashTask(Task):
    """Die as a process does when the machine has no memory left: at once, without a word."""

    title = "Video"

    def execute(self, status: LiveStatus) -> None:
        for number in status.track(range(120), message="Converting", unit="frames"):
            work()
            if number == 50:
                signal.raise_signal(signal.SIGKILL)


app = Flask(__name__, template_folder="demo/templates", static_folder="demo/static")
app.config.update(MAX_CONTENT_LENGTH=200 * 2**20, SESSION_COOKIE_SAMESITE="Lax", FORKTASK_POLL_INTERVAL=0.5)
os.environ.setdefault("FORKTASK_IDLE_EXIT", "60")  # less than between two looks at the paper: it ends after the demo
app.secret_key = secret_key(Path(app.instance_path))
forktask.init_app(app)
app.register_blueprint(checkout)
app.register_blueprint(quick)
app.register_blueprint(later)
KINDS: dict[str, type[Task]] = {"import": ImportTask, "report": ReportTask, "fail": FailingTask, "crash": CrashTask}


def latest(kind: str) -> TaskStatus | None:
    """Return what this browser started last of a kind."""
    try:
        return TaskStatus.get(UUID(session[kind]))
    except (KeyError, StatusNotFoundError):
        return None


@app.get("/")
def index() -> str:
    return render_template("demo.html", statuses={kind: latest(kind) for kind in KINDS}, example_rows=EXAMPLE_ROWS)


@app.get("/<any(import, report, fail, crash):kind>")
def card(kind: str) -> str:
    return render_template("card.html", kind=kind, status=latest(kind), example_rows=EXAMPLE_ROWS)


@app.post("/<any(import, report, fail, crash):kind>")
def start(kind: str) -> AnyResponse:
    settings: dict[str, object] = {}
    if kind == "import":
        folder = Path(app.instance_path, "uploads")
        folder.mkdir(exist_ok=True)
        upload = request.files.get("file")
        path = str(folder / f"{uuid4().hex}.csv")
        settings = {"path": path, "example": not (upload and upload.filename)}
        if upload and upload.filename:
            upload.save(path)
    session[kind] = str(KINDS[kind].initiate(settings).id)
    return redirect(url_for("index", _anchor=kind))


@app.after_request
def forbid_inline(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = "default-src 'self'"
    return response


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ.get("PORT", "5000")), threaded=True)
