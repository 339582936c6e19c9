"""Which application runs here, and how a fresh interpreter imports that very one.

A reference is `module:attribute`, `module:factory()` or `module:factory('argument', key=1)`; `file:` and an
absolute path stand for a module that no import finds; without an attribute the module is only imported.
"""

from __future__ import annotations

from forktask.application.factory import factory_hint
from forktask.application.loading import load, unwrap
from forktask.application.naming import locate
from forktask.application.stamp import code_stamp, main_root

__all__ = ["code_stamp", "factory_hint", "load", "locate", "main_root", "unwrap"]
