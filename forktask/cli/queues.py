"""`forktask queues`, and what holds queues and workers up and lets them go on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from forktask import clock, runtime
from forktask.cli import completion, terminal
from forktask.cli.manner import ExitCode, json_option, leave, source
from forktask.cli.times import Seconds
from forktask.limit import Limit, LimitRow
from forktask.proof import Witness
from forktask.queuename import ALL_QUEUES, QUEUE_RULE, is_queue
from forktask.rows import SupervisorRow
from forktask.start.bell import Workers
from forktask.store import Store

ASK_INTERVAL = 0.2
"""Seconds between looks whether the workers have heard it."""


@contextmanager
def _told() -> Iterator[Store]:
    yield source().store


@click.command()
@json_option
def queues(as_json: bool) -> None:
    """Show each queue in which something waits, runs or is held up, and who serves it.

    Example: forktask --app demo_app:app queues
    """
    with _told() as store:
        said, counts, workers = store.queue_rows(), store.queue_counts(), _witness(store).serving()
    paused = {row.name for row in said if row.paused_at is not None}
    limits = {row.name: limit for row in said if (limit := row.limit) is not None}
    served = {name for row in workers for name in row.queues or ()}
    names = sorted({*paused, *limits, *counts, *served} - {ALL_QUEUES})
    held_up = ALL_QUEUES in paused
    found: list[dict[str, Any]] = [
        {
            "name": name,
            "waiting": counts.get(name, (0, 0))[0],
            "running": counts.get(name, (0, 0))[1],
            "paused": name in paused,
            "workers": sum(name in (row.queues or ()) for row in workers),
            "limit": _limit_values(limits.get(name)),
        }
        for name in names
    ]
    if as_json:
        click.echo(json.dumps({"workers_stopped": held_up, "queues": found}))
        return
    if held_up:
        click.echo("all workers are told to take nothing: forktask resume-workers", err=True)
    lines = [("QUEUE", "WAITING", "RUNNING", "WORKERS", "STATE", "LIMIT")]
    for one in found:
        numbers = (str(one[name]) for name in ("waiting", "running", "workers"))
        lines.append((one["name"], *numbers, "paused" if one["paused"] else "", _limit_text(limits.get(one["name"]))))
    _show(lines)


def _limit_values(limit: LimitRow | None) -> dict[str, Any] | None:
    return {name: getattr(limit, name) for name in ("running", "rate", "per")} if limit is not None else None


def _limit_text(limit: LimitRow | None) -> str:
    if limit is None:
        return ""
    at_once = f"{limit.running} at once" if limit.running is not None else ""
    rate = f"{limit.rate} in {limit.per:g} s" if limit.rate is not None else ""
    return ", ".join(filter(None, (at_once, rate)))


@click.command()
@click.argument("name", shell_complete=completion.queues)
@click.option("--running", type=click.IntRange(1), help="Most that run at once, on all hosts together.")
@click.option("--rate", type=click.IntRange(1), help="Most that begin within --per seconds, evenly spread.")
@click.option("--per", type=Seconds(0, min_open=True), default=60.0, show_default=True, help="Seconds.")
@click.option("--none", "is_none", is_flag=True, help="No limit any more.")
def limit_queue(name: str, running: int | None, rate: int | None, per: float, is_none: bool) -> None:
    """Limit how much of a queue runs at once, and how much begins in a time, by whoever serves it.

    Holds within a second for all that begins; replaces what was said before.

    Example: forktask --app demo_app:app limit-queue mail --running 5 --rate 100 --per 60
    """
    _check(name)
    if is_none == (running is not None or rate is not None):
        raise click.UsageError("say --running, --rate with --per, or both; or --none")
    try:
        limit = None if is_none else Limit(running=running, rate=rate, per=per)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    with _told() as store:
        store.limit_queue(name, limit)
        _wake(store, name)
        told = next((_limit_text(row.limit) for row in store.queue_rows() if row.name == name), "")
    click.echo(f"{name}: {told or 'no limit'}")


@click.command()
@click.argument("name", shell_complete=completion.queues)
def pause_queue(name: str) -> None:
    """Let nothing more be taken from a queue, by whoever serves it; what runs goes on.

    Example: forktask --app demo_app:app pause-queue mail
    """
    _check(name)
    with _told() as store:
        store.pause_queue(name)
    click.echo(f"{name} is paused; forktask resume-queue {name} lets it go on")


@click.command()
@click.argument("name", shell_complete=completion.queues)
def resume_queue(name: str) -> None:
    """Let a queue go on.

    Example: forktask --app demo_app:app resume-queue mail
    """
    _check(name)
    with _told() as store:
        if was_paused := store.resume_queue(name):
            _wake(store, name)
    click.echo(f"{name} goes on" if was_paused else f"{name} was not paused")


def _wake(store: Store, queue: str) -> None:
    """Have those look who take what waits; what no worker takes is our own supervisor's."""
    here = runtime.current()
    workers = Workers(_witness(store), here.settings.runtime_dir)
    if [task for task in store.waiting_tasks(queue) if not workers.wake(queue, task)]:
        here.doorbell.ring(["due", ""])


def _check(name: str) -> None:
    if not is_queue(name):
        raise click.BadParameter(f"{name!r} is no queue; {QUEUE_RULE}", param_hint="NAME")


WAIT = click.option("--wait", type=Seconds(0), default=10.0, show_default=True, help="Seconds for an answer.")


@click.command()
@WAIT
@json_option
def stop_workers(wait: float, as_json: bool) -> None:
    """Have nothing more taken from any queue, on any host, by workers that start later either; what runs goes on.

    Shows who obeys; exit code 4: somebody has not said so in time.

    Example: forktask --app demo_app:app stop-workers
    """
    with _told() as store:
        store.pause_queue(ALL_QUEUES)
        _wake_all(store)
        _report(store, wait, lambda row: row.held_at is not None, None if as_json else "stopped")


@click.command()
@WAIT
@json_option
def resume_workers(wait: float, as_json: bool) -> None:
    """Have every worker take again; shows who does.

    Example: forktask --app demo_app:app resume-workers
    """
    with _told() as store:
        if not store.resume_queue(ALL_QUEUES):
            click.echo("the workers were not stopped", err=True)
        _wake_all(store)
        for queue in store.waiting_queues():
            _wake(store, queue)
        _report(store, wait, lambda row: row.held_at is None, None if as_json else "takes tasks")


def _wake_all(store: Store) -> None:
    Workers(_witness(store), runtime.current().settings.runtime_dir).wake_all()


def _report(store: Store, wait: float, obeys: Callable[[SupervisorRow], bool], word: str | None) -> None:
    """Wait for an answer of each worker and show it; `word`: what one that obeys does; None: as JSON."""
    until = clock.monotonic() + wait
    found = _living(store)
    while not all(map(obeys, found)) and clock.monotonic() < until:
        clock.sleep(ASK_INTERVAL)
        found = _living(store)
    if word is None:
        told = [{"host": row.host, "pid": row.pid, "queues": row.queues, "obeys": obeys(row)} for row in found]
        click.echo(json.dumps(told, ensure_ascii=False))
    elif found:
        lines = [("HOST", "PID", "QUEUES", "STATE")]
        for row in found:
            lines.append((row.host, str(row.pid), ",".join(row.queues or ()), word if obeys(row) else "no answer"))
        _show(lines)
    else:
        click.echo("no worker lives", err=True)
    if not all(map(obeys, found)):
        leave(ExitCode.NOT_IN_TIME)


def _living(store: Store) -> list[SupervisorRow]:
    witness = _witness(store)
    return [row for row in store.supervisors() if row.queues and witness.death_of(row.id) is None]


def _witness(store: Store) -> Witness:
    return Witness(store, runtime.current().settings)


def _show(lines: Sequence[Sequence[str]]) -> None:
    terminal.show(lines)


COMMANDS = (queues, pause_queue, resume_queue, limit_queue, stop_workers, resume_workers)
