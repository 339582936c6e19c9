"""What the documents say of the code is what the code says."""

from __future__ import annotations

import ast
import re
import textwrap
from dataclasses import fields

import pytest

from forktask.config import OTHER_NAMES, PREFIX, Settings
from forktask.host import VOLATILE
from forktask.host.environment import SERVER
from forktask.sentences import sentence
from forktask.states import FINAL, MOVES, UNCOUNTED, Cause, StartMethod, State
from tests.docs.pages import PAGES, ROOT, anchors, blocks, links, read, rows, section

CODE = re.compile(r"`([A-Z_*]+)`")


def test_the_readme_names_every_setting_with_its_default() -> None:
    told = {name: default for name, default, _ in rows("README.md", "Settings")}
    assert told == {f"{PREFIX}{field.name.upper()}": str(field.default) for field in fields(Settings)}


def test_the_readme_says_of_every_cause_what_follows() -> None:
    table = rows("README.md", "What happens when…")
    assert [cause for _, cause, *_ in table if cause] == [cause.value for cause in Cause]


def test_the_readme_is_short() -> None:
    assert len(read("README.md").splitlines()) <= 250


def test_the_lifecycle_names_every_state_and_which_are_final() -> None:
    told = {state: final == "yes" for state, final, _ in rows("docs/lifecycle.md", "States")}
    assert told == {state.value: state in FINAL for state in State}


def test_the_lifecycle_names_every_move() -> None:
    told = [(source, target) for source, target, _ in rows("docs/lifecycle.md", "Moves")]
    assert len(told) == len(set(told))
    assert set(told) == {(source.value, target.value) for source, targets in MOVES.items() for target in targets}


def test_the_lifecycle_names_every_cause_and_which_count() -> None:
    told = {cause: counts == "yes" for cause, _, counts in rows("docs/lifecycle.md", "Causes")}
    assert told == {cause.value: cause not in UNCOUNTED for cause in Cause}


def test_the_lifecycle_names_every_start_method() -> None:
    assert [method for method, *_ in rows("docs/lifecycle.md", "Starting")] == [method.value for method in StartMethod]


def test_the_page_of_faults_quotes_what_the_person_reads() -> None:
    told = section("docs/faults.md", "A task ends badly") + section("docs/faults.md", "A task does not start")
    by_hand = {Cause.SIGNAL: {"number": 9}, Cause.TIMEOUT: {"limit": 600}}
    # A cancelled status is no failure: its bar shows the headline alone.
    said = {cause: sentence(cause, **by_hand.get(cause, {})) for cause in Cause if cause is not Cause.CANCELLED}
    assert {cause.value: text for cause, text in said.items() if text not in told} == {}


def test_operations_lists_the_environment_that_is_removed_or_ignored() -> None:
    removed, _, ignored = section("docs/operations.md", "Environment").partition("These reach the supervisor")
    assert set(CODE.findall(removed)) - {"*"} == SERVER
    assert set(CODE.findall(ignored)) == VOLATILE - SERVER


@pytest.mark.parametrize("page", PAGES)
def test_settings_that_a_page_names_exist(page: str) -> None:
    known = {f"{PREFIX}{field.name.upper()}" for field in fields(Settings)} | OTHER_NAMES
    assert set(re.findall(rf"\b{PREFIX}[A-Z_]+", read(page))) <= known


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    broken = [
        f"{path}#{anchor}"
        for path, anchor in links(page)
        if not (ROOT / path).exists() or (anchor and anchor not in anchors(path))
    ]
    assert not broken


@pytest.mark.parametrize("page", PAGES)
def test_python_in_a_page_is_python(page: str) -> None:
    for code in blocks(page, "python"):
        ast.parse(textwrap.dedent(code))
