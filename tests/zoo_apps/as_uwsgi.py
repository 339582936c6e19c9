"""Loads a file as uWSGI does, and lets it report."""

from __future__ import annotations

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader

if __name__ == "__main__":
    name = "uwsgi_file_" + sys.argv[1].replace("/", "_")
    loader = SourceFileLoader(name, sys.argv[1])
    spec = spec_from_loader(name, loader)
    assert spec is not None
    module = sys.modules[name] = module_from_spec(spec)
    loader.exec_module(module)
    print(module.report(module.app))
