"""What gunicorn is told to serve: middleware around an application that no module holds."""

from __future__ import annotations

from shop import create_app
from werkzeug.middleware.proxy_fix import ProxyFix
from zoo_report import task

application = ProxyFix(create_app("behind"))
deeper = ProxyFix(ProxyFix(create_app("deeper").wsgi_app))


@task
def proxied_task() -> None: ...
