"""What all commands have in common: errors of one line, exit codes, pipes."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from forktask.cli import group
from forktask.rows import StatusRow
from forktask.store import Store
from tests.cli.conftest import CommandLine, Program
from tests.cli.site_example import APPLICATION, ENTRIES, program
from tests.databases import KINDS, database_url, order
from tests.store.examples import inserted


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "site_app.py").write_text(APPLICATION)
    return tmp_path


def commands() -> dict[str, list[str]]:
    """Return every command with arguments that will do."""
    needed = {"show": ["01"], "set-state": ["01", "completed", "--yes"], "purge": ["--older-than", "1", "--yes"]}
    bulk = ("cancel", "pause", "resume", "retry", "delete")
    return needed | {name: ["--state", "queued", "--yes"] for name in bulk} | {"list": [], "export": []}


@pytest.mark.parametrize("entry", ENTRIES, ids=["forktask", "flask"])
def test_programs_work_from_both_entry_points(entry: tuple[str, ...], site: Path) -> None:
    url = f"sqlite:///{site}/tasks.sqlite"
    done = program(*entry, "start", "double", "n=21", "--wait", folder=site, SITE_DATABASE=url)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "42"), done.stderr
    told = json.loads(program(*entry, "list", "--json", folder=site, SITE_DATABASE=url).stdout)
    assert [row["result"] for row in told["statuses"]] == [42]


def test_the_application_may_be_named_after_the_command(site: Path, forked_program: Program) -> None:
    url, named = f"sqlite:///{site}/tasks.sqlite", ("--app", "site_app:app")
    forked_program("forktask", "enqueue", "double", "n=2", "--app=site_app:app", folder=site, SITE_DATABASE=url)
    words = ("forktask", "worker", *named, "--once", "--", "--app", "a task's")
    done = forked_program(*words, folder=site, SITE_DATABASE=url)
    assert done.returncode == 0, done.stderr
    told = json.loads(forked_program("forktask", "list", *named, "--json", folder=site, SITE_DATABASE=url).stdout)
    assert [row["result"] for row in told["statuses"]] == [4]


@pytest.mark.parametrize("kind", KINDS)
def test_where_there_are_no_tables_init_is_named_and_none_are_made(
    kind: str, tmp_path: Path, forked_program: Program
) -> None:
    with database_url(kind, tmp_path) as url:
        done = forked_program("forktask", "list", folder=tmp_path, FORKTASK_DATABASE_URL=url)
        assert done.returncode == 1
        assert "there are no tables of forktask in" in done.stderr
        assert done.stderr.endswith("forktask init creates them\n")
        assert not list(tmp_path.glob("*.sqlite*"))


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_says_so(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: CommandLine) -> None:
    monkeypatch.setattr(here.runtime.store.database, "url", here.runtime.store.database.url.set(database="/nowhere/x"))
    assert "forktask init creates them" in here.refused(name, *commands()[name])


@pytest.mark.parametrize("kind", KINDS)
def test_tables_of_another_version_are_named(kind: str, tmp_path: Path, forked_program: Program) -> None:
    with database_url(kind, tmp_path) as url:
        store = Store(url)
        store.create_tables()
        store.close()
        order(url, "ALTER TABLE forktask_status DROP COLUMN title")
        done = forked_program("forktask", "list", folder=tmp_path, FORKTASK_DATABASE_URL=url)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert "the tables are of another version of forktask" in done.stderr


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://nobody@127.0.0.1:1/none", "the database cannot be had: "),
        ("mysql://nobody@127.0.0.1:1/none", "the database cannot be had: "),
        ("oracle://host/db", "is no URL of SQLite, PostgreSQL or MariaDB"),
        ("postgresql://me:geheim@host:port/db", "FORKTASK_DATABASE_URL='postgresql+psycopg://***@host:port/db'"),
    ],
)
def test_a_database_that_cannot_be_had_is_one_line(
    url: str, told: str, tmp_path: Path, forked_program: Program
) -> None:
    done = forked_program("forktask", "list", folder=tmp_path, FORKTASK_DATABASE_URL=url)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert "geheim" not in done.stderr


@pytest.mark.parametrize(
    ("entry", "code", "told"),
    [
        (ENTRIES[0], "import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        (ENTRIES[1], "import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        (ENTRIES[0], "def broken(:", "SyntaxError: "),
        (ENTRIES[1], "1 / 0", "ZeroDivisionError: division by zero"),
        (ENTRIES[0], "raise SystemExit(3)", "ends the interpreter"),
    ],
)
def test_an_application_that_cannot_be_imported_says_why(
    entry: tuple[str, ...], code: str, told: str, tmp_path: Path, forked_program: Program
) -> None:
    (tmp_path / "site_app.py").write_text(f"{code}\n")
    done = forked_program(*entry, "list", folder=tmp_path)
    assert done.returncode in (1, 2)
    assert told in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_wrong_on_the_command_line_is_one_line_with_code_2(here: CommandLine) -> None:
    assert here.refused("lst", code=2).startswith("Error: No such command 'lst'")
    assert "see forktask list --help" in here.refused("list", "--nonsense", code=2)
    assert "'soon' is no time" in here.refused("list", "--since", "soon", code=2)
    assert "Missing argument" in here.refused("show", code=2)
    for number in ("nan", "inf"):
        assert f"'{number}' is no number of seconds" in here.refused("start", "nothing", "--timeout", number, code=2)


def test_where_no_application_is_named_a_task_is_not_looked_for(
    here: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("forktask.registry._tasks", {})
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORKTASK_APP", raising=False)
    told = "'Report' is a task of no application: name yours, as in forktask --app shop:app …"
    for words in (["start", "Report"], ["enqueue", "Report"], ["schedule", "add", "Report", "--every", "60"]):
        assert told in here.refused(*words)


def test_who_names_no_application_behind_the_option_is_told_so(here: CommandLine) -> None:
    for words in (["--app"], ["list", "--app"], ["worker", "--app", "--", "of a task"]):
        assert "Option '--app' requires an argument" in here.refused(*words, code=2)


def test_the_help_of_a_group_cuts_nothing(here: CommandLine) -> None:
    for words in ([], ["schedule"], ["supervisors"]):
        assert not [line for line in here.said(*words, "--help").splitlines()[1:] if line.endswith("...")]


def test_why_a_factory_cannot_be_called_is_said_without_our_own_files(here: CommandLine) -> None:
    told = here.refused("--app", "tests.cli.examples:a_running()", "list")
    assert "missing 1 required positional argument: 'store'" in told
    assert "cli/entry.py" not in told
    assert "cli/discovery.py" not in told


def test_who_reads_the_output_may_leave(here: CommandLine, tmp_path: Path) -> None:
    rows: list[StatusRow] = [inserted(here.runtime.store) for _ in range(300)]
    command = f"{shlex.quote(str(Path(sys.executable).with_name('forktask')))} list --limit 0"
    environ = {"PATH": "/usr/bin:/bin", "FORKTASK_DATABASE_URL": here.runtime.settings.database_url}
    script = f"set -o pipefail; {command} | head -n 2; echo code $?"
    done = subprocess.run(["/bin/bash", "-c", script], env=environ, capture_output=True, text=True, check=True)
    head, first, code = done.stdout.splitlines()
    assert head.startswith("ID ")
    assert first.startswith(str(rows[-1].id))
    assert code in ("code 141", "code 0")  # all may have been written before it left
    assert done.stderr == ""


def test_a_broken_pipe_has_the_code_of_the_signal(here: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **named: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("click.echo", broken)
    done = CliRunner().invoke(group, ["list", "--json"])
    assert done.exit_code == 141
    assert done.output == ""


def every(group_: click.Group, name: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield every command with its name, those of groups too."""
    for part, command in group_.commands.items():
        if isinstance(command, click.Group):
            yield from every(command, f"{name}{part} ")
        else:
            yield f"{name}{part}", command


def test_every_command_has_one_example_and_one_line_that_says_what_it_does() -> None:
    for name, command in every(group):
        text = command.help or ""
        assert text.splitlines()[0].endswith((".", ":", ";", ",")) or "." in text.partition("\n\n")[0], name
        assert text.count("Example: ") == 1, name
        example = text.partition("Example: ")[2]
        assert f" {name} " in f"{' '.join(example.split())} ", name


def test_a_shell_completes_commands_and_states(tmp_path: Path, forked_program: Program) -> None:
    for words, told in (("forktask set-", "set-state"), ("forktask list --state ru", "running")):
        place = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
        done = forked_program("forktask", folder=tmp_path, _FORKTASK_COMPLETE="bash_complete", **place)
        assert done.stdout.splitlines() == [f"plain,{told}"]
