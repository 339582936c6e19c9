"""What looks like a secret is shown as stars: in pages, on the command line, in exports."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

MASK: Final = "***"
SECRET_NAME: Final = re.compile(
    r"pass(?:word|wd|phrase|code)?s?$|pwd|secret|token|credential|authori[sz]ation|bearer|cookie|session_?id|otp$|pin$"
    r"|(?:api|access|private|secret|signing|encryption|auth|account)[_-]?keys?$|signature|^auth$",
    re.IGNORECASE,
)
"""Names whose values are masked, whatever they are."""
IN_URL: Final = re.compile(r"(?<=://)([^/@\s:]*):([^/@\s]+)@")


def masked(value: Any) -> Any:
    """Return JSON with its secrets masked, those too that stand in addresses: `postgresql://bob:***@host`."""
    if isinstance(value, dict):
        return {name: MASK if _is_secret(name, one) else masked(one) for name, one in value.items()}
    if isinstance(value, list):
        return [masked(one) for one in value]
    return IN_URL.sub(rf"\1:{MASK}@", value) if isinstance(value, str) else value


def secrets(value: Any, path: str) -> Iterator[str]:
    """Yield where masked secrets stand in JSON, as Python would index it: `settings['login']['password']`."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from [f"{path}[{name!r}]"] if _is_secret(name, one) else secrets(one, f"{path}[{name!r}]")
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from secrets(one, f"{path}[{number}]")
    elif isinstance(value, str) and IN_URL.search(value):
        yield path


def _is_secret(name: str, value: Any) -> bool:
    return value not in (None, "", True, False) and bool(SECRET_NAME.search(_words(name)))


def _words(name: str) -> str:
    """Return `api_key` for `apiKey`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
