"""In which language a person reads the widgets, and the texts in that language.

Texts are gettext messages of the domain `forktask`. An application's own catalogue of that domain, in its folder
`translations`, comes before ours, in whole or in part, and may add languages.
"""

from __future__ import annotations

import gettext
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flask import current_app, has_request_context, request
from markupsafe import escape

DOMAIN = "forktask"
FOLDER = Path(__file__).with_name("translations")
SOURCE = "en"
"""The language in which the messages stand in the code."""
RIGHT_TO_LEFT = frozenset({"ar", "ckb", "dv", "fa", "he", "ku", "ps", "sd", "ug", "ur", "yi"})
NARROW_SPACE = "\u202f"
MOST_FOUND = 500
"""Messages that a language remembers; ours are fewer."""
ARGUMENT = "lang"
"""Of the URLs that widgets ask: the language of the page in which they stand."""

Locale = Callable[[], object]
"""Returns the language of the present request: a code like `de` or `de_AT`, or what prints as one; None: English."""
Texts = Mapping[str, str]
"""The English text as it stands in the code → what to show in its place, with the same names in braces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """One language of the person who reads."""

    code: str = SOURCE
    """For `lang`: `de`, `pt-BR`."""
    catalogue: gettext.NullTranslations = field(default_factory=gettext.NullTranslations)
    texts: Texts = field(default_factory=dict)
    _found: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Messages that were looked up: each catalogue asks its fallbacks in turn."""

    @property
    def direction(self) -> str:
        """For `dir`: `ltr` or `rtl`."""
        return "rtl" if self.code.partition("-")[0] in RIGHT_TO_LEFT else "ltr"

    def say(self, message: str, **values: object) -> str:
        """Return a message in this language, with `values` in the place of their names in braces.

        Where a value is markup, so is what comes back, and the rest is escaped.
        """
        found = self._found.get(message) or self._look_up(message)
        return _fill(found, values) if values else found

    def say_many(self, one: str, many: str, count: int, **values: object) -> str:
        """Return the message that fits a number, which stands in it as `{count}`."""
        message = self.texts.get(one if count == 1 else many) or self.catalogue.ngettext(one, many, count)
        return _fill(message, {"count": number(count), **values})

    def _look_up(self, message: str) -> str:
        found = self.texts.get(message) or self.catalogue.gettext(message)
        if len(self._found) < MOST_FOUND:  # a template of the application may say what comes from anywhere
            self._found[message] = found
        return found

    def with_texts(self, texts: Texts) -> Language:
        """Return this language with some texts replaced."""
        return replace(self, texts={**self.texts, **texts}) if texts else self


ENGLISH = Language()


def mark(message: str) -> str:
    """Return `message`, which is translated where it is shown; here it is only found."""
    return message


def number(value: int) -> str:
    """Return a whole number as it is read: `1 234` with narrow no-break spaces (ISO 80000-1, 7.3.1)."""
    return f"{value:,}".replace(",", NARROW_SPACE)


class Languages:
    """The languages of one application.

    Args:
        root: Where the application keeps its `translations`.
        locale: Says the language of a request; by default Flask-Babel, where the application uses it, else English.
        texts: By language, texts to replace.
    """

    def __init__(
        self, root: str | Path, locale: Locale | None = None, texts: Mapping[str, Texts] | None = None
    ) -> None:
        self._own = Path(root, "translations")
        self._locale = locale
        self._texts = {_normal(code): own for code, own in (texts or {}).items()}
        folders = [path.parents[1] for folder in (FOLDER, self._own) for path in folder.glob(f"*/*/{DOMAIN}.mo")]
        self._names = {_normal(path.name): path.name for path in folders}
        self._loaded: dict[str, Language] = {}

    def current(self) -> Language:
        """Return the language of the present request.

        A widget asks in the language of its page, which may be known from that page's address alone.
        """
        if has_request_context() and (asked := request.args.get(ARGUMENT)) and request.blueprint == DOMAIN:
            return self.get(asked)
        return self.get(self._locale_of_request())

    def arguments(self, language: Language | None = None) -> dict[str, Any]:
        """Return what the URLs in the present page, in `language` or in that of the request, have to carry."""
        return {ARGUMENT: (language or self.current()).code} if self._varies else {}

    def get(self, code: object) -> Language:
        """Return the language that is nearest to a code: for `de_AT` German, for one that is not there English."""
        if isinstance(code, str) and (exact := self._loaded.get(code)) is not None:
            return exact
        wanted = _normal(str(code or SOURCE))
        known = {SOURCE, *self._names, *self._texts}
        found = next((name for name in (wanted, wanted.partition("_")[0]) if name in known), SOURCE)
        if found not in self._loaded:
            self._loaded[found] = self._load(found)
        return self._loaded[found]

    @property
    def _varies(self) -> bool:
        return self._locale is not None or "babel" in current_app.extensions

    def _locale_of_request(self) -> object:
        if self._locale is not None:
            return self._locale()
        if "babel" in current_app.extensions:  # set by Flask-Babel
            return importlib.import_module("flask_babel").get_locale()
        return None

    def _load(self, found: str) -> Language:
        name = self._names.get(found, found)
        own = gettext.translation(DOMAIN, self._own, [name], fallback=True)
        own.add_fallback(gettext.translation(DOMAIN, FOLDER, [name], fallback=True))
        return Language(code=name.replace("_", "-"), catalogue=own, texts=self._texts.get(found, {}))


def _normal(code: str) -> str:
    return code.replace("-", "_").lower()


def _fill(message: str, values: Mapping[str, object]) -> str:
    for value in values.values():
        if hasattr(value, "__html__"):
            return escape(message).format(**values)
    return message.format(**values)
