"""Bring the catalogues up to date with the code: `make translations`.

Collects every text that a person can read, adds what is new to each catalogue, drops what is gone, and compiles. A new
text stands there empty, and a test fails until somebody has translated it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from babel.messages import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from forktask import sentences

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "web" / "translations"
LANGUAGES = ("ar", "de", "es", "fr")
DOMAIN = "forktask"
KEYWORDS = {"say": None, "mark": None, "say_many": (1, 2)}
DATE = datetime(2026, 1, 1, tzinfo=UTC)
"""Of every catalogue, so that the same texts make the same bytes."""
FILES = {"*.py": "python", "templates/**/*.html": "jinja2"}


def texts() -> Catalog:
    """Return all texts of the code, with the files they stand in."""
    found = Catalog(project="forktask", header_comment="# Texts of forktask's widgets.", fuzzy=False)
    for pattern, method in FILES.items():
        for path in sorted((ROOT / "web").glob(pattern)):
            place = path.relative_to(ROOT).as_posix()
            with path.open("rb") as file:
                for _, message, comments, _ in extract(method, file, KEYWORDS, ["Translators:"]):
                    found.add(message, locations=[(place, 0)], auto_comments=comments)
    for text in [*sentences.SENTENCES.values(), *sentences.OTHERS]:
        found.add(text, locations=[("forktask/sentences.py", 0)])
    return found


def path_of(language: str) -> Path:
    """Return the file of a language's catalogue."""
    return FOLDER / language / "LC_MESSAGES" / f"{DOMAIN}.po"


def read(language: str) -> Catalog:
    """Return a language's catalogue as it is."""
    with path_of(language).open("rb") as file:
        return read_po(file, locale=language, domain=DOMAIN)


def compiled(catalogue: Catalog) -> bytes:
    """Return what belongs into the .mo file."""
    output = BytesIO()
    write_mo(output, catalogue)
    return output.getvalue()


def update(language: str, template: Catalog) -> list[str]:
    """Write a language's two files; return the texts that wait for a translation."""
    path = path_of(language)
    path.parent.mkdir(parents=True, exist_ok=True)
    catalogue = read(language) if path.exists() else Catalog(locale=language, domain=DOMAIN, fuzzy=False)
    catalogue.project, catalogue.version = "forktask", ""
    catalogue.msgid_bugs_address, catalogue.last_translator, catalogue.language_team = "", "", language
    catalogue.update(template, no_fuzzy_matching=True, update_header_comment=True)
    catalogue.obsolete.clear()
    catalogue.creation_date = catalogue.revision_date = DATE
    path.with_suffix(".mo").write_bytes(compiled(catalogue))
    output = BytesIO()
    write_po(output, catalogue, width=120, omit_header=False, include_lineno=False, sort_output=True)
    path.write_bytes(output.getvalue())
    return missing(catalogue)


def missing(catalogue: Catalog) -> list[str]:
    """Return the texts that have no translation, or not in every form."""
    return [str(message.id) for message in catalogue if message.id and not all(strings(message))]


def strings(message: Message) -> tuple[str, ...]:
    """Return the translations of a text: one, or one for each plural form."""
    string: Any = message.string
    return string if isinstance(string, tuple) else (string or "",)


if __name__ == "__main__":
    template = texts()
    for language in LANGUAGES:
        waiting = update(language, template)
        print(f"{language}: {len(template)} texts, {len(waiting)} to translate", *waiting, sep="\n  ")
