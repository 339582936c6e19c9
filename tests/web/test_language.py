"""In which language the widgets speak."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, request
from flask_babel import Babel
from markupsafe import Markup

from forktask import Cause, State, sentences
from forktask.clock import now
from forktask.sentences import sentence
from forktask.store import Store
from forktask.web import ForkTask
from forktask.web.language import ENGLISH, Languages
from forktask.web.wording import explain
from tests.web.asking import poll, rendered
from tests.web.rows import keep
from tools.translations import compiled, read


@pytest.fixture
def german(bare: Flask) -> Flask:
    ForkTask(bare, locale=lambda: "de_AT")
    return bare


@pytest.fixture
def texts(tmp_path: Path) -> Languages:
    return Languages(tmp_path)


def table(app: Flask) -> Store:
    store = Store(app.extensions["forktask"].settings.database_url)
    store.ensure_tables()
    return store


def test_without_a_word_from_the_application_it_speaks_english(app: Flask, store: Store) -> None:
    status_id = keep(store, queue="mail")
    with app.test_client() as client:
        html = poll(client, status_id, **{"Accept-Language": "de"}).text
    assert "Next in line" in html
    assert 'lang="en" dir="ltr"' in rendered(app, status_id)


def test_the_application_says_the_language(german: Flask) -> None:
    html = rendered(german, keep(table(german), state=State.RUNNING, percent=62.0))
    assert ">Läuft<" in html
    assert ">62\u00a0%<" in html
    assert 'lang="de" dir="ltr"' in html


def test_flask_babel_is_asked_where_the_application_uses_it(bare: Flask) -> None:
    Babel(bare, locale_selector=lambda: request.args.get("language", "en"))
    ForkTask(bare)
    status_id = keep(table(bare), queue="mail")
    with bare.test_client() as client:
        page = client.get(f"{address(bare, status_id)}?language=fr", headers={"Accept": "text/html"})
    assert '<html lang="fr"' in page.text
    assert "Prochain dans la file" in page.text


def address(app: Flask, status_id: Any) -> str:
    """Return the address of a status as a person would type it, without a language."""
    with app.test_request_context():
        return str(rendered(app, status_id)).split('href="')[1].split('"')[0].partition("?")[0]


def test_a_poll_speaks_the_language_of_its_page_though_its_own_address_says_nothing(bare: Flask) -> None:
    spoken = ["ar"]
    ForkTask(bare, locale=lambda: spoken[0])
    html = rendered(bare, keep(table(bare), queue="mail"))
    assert 'lang="ar" dir="rtl"' in html
    spoken[0] = "en"
    url = html.split('href="')[1].split('"')[0]
    with bare.test_client() as client:
        answer = client.get(url, headers={"HX-Request": "true"})
    assert "التالي في الطابور" in answer.text
    assert url in answer.text


def test_the_same_status_in_another_language_is_another_version(bare: Flask) -> None:
    ForkTask(bare, locale=lambda: "en")
    status_id = keep(table(bare), state=State.RUNNING, message="x")
    with bare.test_client() as client:
        tags = {
            client.get(f"{address(bare, status_id)}?lang={code}", headers={"HX-Request": "true"}).headers["ETag"]
            for code in ("en", "de", "fr", "../../etc")
        }
    assert len(tags) == 3


@pytest.mark.parametrize(
    ("code", "found"),
    [("de", "de"), ("de_AT", "de"), ("DE-at", "de"), ("nl", "en"), ("", "en"), (None, "en"), ("../de", "en")],
)
def test_the_nearest_language_is_taken_and_english_where_there_is_none(
    texts: Languages, code: str | None, found: str
) -> None:
    assert texts.get(code).code == found


@pytest.mark.parametrize(
    ("count", "text"), [(1, "دقيقة واحدة"), (2, "دقيقتين"), (5, "5 دقائق"), (11, "11 دقيقة"), (100, "100 دقيقة")]
)
def test_arabic_counts_in_its_own_forms(texts: Languages, count: int, text: str) -> None:
    assert texts.get("ar").say_many("{count} minute", "{count} minutes", count) == text


def test_the_application_replaces_texts(tmp_path: Path) -> None:
    languages = Languages(tmp_path, texts={"en": {"Waiting to start": "One moment"}, "nl": {"Running": "Bezig"}})
    assert languages.get("en").say("Waiting to start") == "One moment"
    assert languages.get("nl").say("Running") == "Bezig"
    assert languages.get("de").say("Waiting to start") == "Beginnt gleich"


def test_a_catalogue_of_the_application_comes_before_ours(tmp_path: Path) -> None:
    for language, message, text in (("de", "Refresh", "Nachsehen"), ("pt_BR", "Running", "Em andamento")):
        catalogue = read("de")
        for known in list(catalogue):
            if known.id and known.id != message:
                catalogue.delete(known.id)
        catalogue[message].string = text
        folder = tmp_path / "translations" / language / "LC_MESSAGES"
        folder.mkdir(parents=True)
        (folder / "forktask.mo").write_bytes(compiled(catalogue))
    languages = Languages(tmp_path)
    assert languages.get("de").say("Refresh") == "Nachsehen"
    assert languages.get("de").say("Running") == "Läuft"
    assert languages.get("pt-BR").say("Running") == "Em andamento"
    assert languages.get("pt-BR").code == "pt-BR"


def test_markup_in_a_text_stays_markup_and_the_text_itself_is_escaped() -> None:
    language = ENGLISH.with_texts({"Reference {reference}": "<b> {reference}"})
    assert language.say("Reference {reference}", reference=Markup("<i>1</i>")) == "&lt;b&gt; <i>1</i>"


def test_sentences_of_the_core_are_said_in_the_language_of_the_reader(texts: Languages) -> None:
    for cause, number in itertools.product(Cause, (None, 9, 64)):
        for seconds in (1, 1.5, 45, 60, 90, 600, 3600, 7200):
            english = sentence(cause, number=number, limit=seconds)
            message, values = sentences.parts(english)
            assert explain(message, values, ENGLISH) == english
            assert explain(message, values, texts.get("de")) != english


def test_a_failed_task_is_explained_in_the_language_of_the_reader(german: Flask) -> None:
    store = table(german)
    values: dict[str, Any] = {"state": State.FAILED, "finished_at": now(), "reference": "K7QX-3MFA"}
    timeout = keep(store, **values, cause=Cause.TIMEOUT, error=sentence(Cause.TIMEOUT, limit=600))
    own = keep(store, **values, cause=Cause.EXCEPTION, error="The {file} has no header line.")
    html = rendered(german, timeout)
    assert "Das dauerte länger als 10 Minuten und wurde beendet." in html
    assert 'Kennung <code class="forktask-reference">K7QX-3MFA</code>: bitte nennen' in html
    assert "The {file} has no header line." in rendered(german, own)
