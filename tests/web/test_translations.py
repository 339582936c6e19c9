"""The catalogues: complete, compiled, and true to the texts in the code."""

from __future__ import annotations

import gettext
import re
from io import BytesIO
from typing import Any

import pytest
from babel.messages import Catalog

from tools.translations import FOLDER, LANGUAGES, compiled, missing, path_of, read, strings, texts

AGAIN = "run `make translations`, then fill in what it names"


@pytest.fixture(scope="module")
def template() -> Catalog:
    """All texts of the code."""
    return texts()


def names(text: str) -> set[str]:
    """Return the names in braces."""
    return set(re.findall(r"\{(\w+)\}", text))


def messages(file: BytesIO) -> dict[object, str]:
    """Return what gettext reads from a compiled catalogue, but for its header."""
    found: dict[object, str] = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    return {key: value for key, value in found.items() if key}


def test_texts_are_found_in_scripts_templates_and_sentences(template: Catalog) -> None:
    ids = {message.id for message in template}
    assert {"Waiting to start", "Refresh", "This was cancelled.", ("{count} warning", "{count} warnings")} <= ids


def test_every_folder_is_a_language_that_is_looked_after() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_of_the_code_is_translated(language: str, template: Catalog) -> None:
    catalogue = read(language)
    assert {str(message.id) for message in catalogue} == {str(message.id) for message in template}, AGAIN
    assert not missing(catalogue), AGAIN
    assert not [message.id for message in catalogue if message.id and message.fuzzy]
    assert not catalogue.obsolete


@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_have_the_placeholders_of_their_text(language: str) -> None:
    wrong = []
    for message in read(language):
        ids: Any = message.id if isinstance(message.id, tuple) else (message.id,)
        allowed = names(" ".join(ids))
        for text in strings(message) if message.id else ():
            # Where the number is in the word itself ("two minutes" in Arabic), it may be left out.
            if names(text) != allowed and not (len(ids) == 2 and names(text) == allowed - {"count"}):
                wrong.append((message.id, text))
    assert not wrong


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_compiled_is_what_was_translated(language: str) -> None:
    there = path_of(language).with_suffix(".mo").read_bytes()
    assert messages(BytesIO(there)) == messages(BytesIO(compiled(read(language)))), AGAIN


def test_arabic_has_six_forms() -> None:
    assert read("ar").num_plurals == 6
