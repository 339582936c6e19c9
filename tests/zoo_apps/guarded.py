"""The application is made under the main guard, by a function that serves as well."""

from __future__ import annotations

import sys

from flask import Flask
from zoo_report import Extension, report, task


@task
def guarded_task() -> None: ...


def configure(app: Flask) -> None:
    Extension().init_app(app)


def create_app(name: str = "guarded") -> Flask:
    app = Flask(__name__)
    configure(app)
    app.add_url_rule(f"/{name}", name, lambda: app.name)
    return app


def serve(app: Flask) -> int:
    print(report(app))
    return 0


def main() -> int:
    app = create_app()
    return serve(app)


if __name__ == "__main__":
    if "main" in sys.argv:
        sys.exit(main())
    app = create_app("other") if "other" in sys.argv else create_app()
    serve(app)
