"""Our templates, and what all of them get."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from flask import current_app, url_for
from jinja2 import Template
from markupsafe import Markup

from forktask.web.language import Language


def render(name: str, **values: Any) -> Markup:
    """Return a template of ours, or of an application that overrides it.

    Straight from the environment: the application's context processors may ask its database, at every poll.
    """
    return Markup(current_app.jinja_env.get_template(f"forktask/{name}").render(**values))  # noqa: S704 - a template


def spoken(language: Language | None = None) -> dict[str, Any]:
    """Return what every template gets: the language, the functions that say a text in it, and `icon`."""
    language = language or current_app.extensions["forktask"].languages.current()
    return {"language": language, "say": language.say, "say_many": language.say_many, "icon": icon}


def icon(look: str) -> Markup:
    """Return the picture of a look, by the macro of `icons.html`, which is asked once for each."""
    template = current_app.jinja_env.get_template("forktask/icons.html")
    drawn = _icons.setdefault(template, {})
    if look not in drawn:
        drawn[look] = template.module.icon(look)  # type: ignore[attr-defined]  # the macro
    return drawn[look]


_icons: WeakKeyDictionary[Template, dict[str, Markup]] = WeakKeyDictionary()


def asset_url(filename: str) -> str:
    """Return the URL of one of our static files, which changes with its content."""
    return url_for("forktask.static", filename=filename, v=_content_hash(filename))


@cache
def _content_hash(filename: str) -> str:
    return hashlib.sha256(Path(__file__).with_name("static").joinpath(filename).read_bytes()).hexdigest()[:8]
