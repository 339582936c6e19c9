"""How a task becomes a process: forkserver, fork, spawn, inline; by setting, by task, by call."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from forktask import State
from tests.process.site import REPORT, Site, open_site

VERBS = {"forkserver": "supervisor", "spawn": "run", "fork": "program", "inline": "program"}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path) as site:
        yield site


@pytest.mark.parametrize("method", VERBS)
def test_the_setting_chooses_the_start_method(site: Site, method: str) -> None:
    program = """
    if __name__ == "__main__":
        status = WhereTask.initiate().wait(50)
        found = WhereTask.enqueue().wait(50) if len(sys.argv) > 1 else status
        print(json.dumps([[status.state, found.state], [status.result, found.result], os.getpid()]))
    """
    queue = ["enqueue"] if method in ("forkserver", "spawn") else []
    states, results, caller = site.run(REPORT + program, *queue, FORKTASK_START_METHOD=method)
    assert states == [State.COMPLETED] * 2
    assert [result["verb"] for result in results] == [VERBS[method]] * 2
    assert (results[0]["pid"] == caller) == (method == "inline")
    if method in ("forkserver", "spawn"):
        for row, result in zip(site.rows(), results, strict=False):
            assert f"started task={row.task} id={row.id} attempt=1 pid={result['pid']}" in site.log()


def test_the_task_and_the_call_choose_the_start_method(site: Site) -> None:
    program = """
    class SpawnedTask(WhereTask):
        start_method = "spawn"

    @task(start_method="fork")
    def forked(status):
        return where()

    if __name__ == "__main__":
        told(
            WhereTask.initiate(),
            SpawnedTask.initiate(),
            forked.initiate(),
            WhereTask.using(start_method="spawn").initiate(),
            SpawnedTask.using(start_method="fork").initiate(),
            forked.using(start_method="inline").initiate(),
            forked.using(start_method="forkserver").initiate(),
        )
    """
    told = site.run(REPORT + program)
    assert [verb for _, verb, _ in told] == ["supervisor", "run", "program", "run", "program", "program", "supervisor"]
    assert {state for state, _, _ in told} == {State.COMPLETED}
