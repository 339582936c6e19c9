"""Two applications in one module, and their names in another."""

from __future__ import annotations

from flask import Flask
from zoo_report import Extension, report

public = Flask(__name__)
admin = Flask(__name__)
_hidden = admin
for site in (public, admin):
    Extension(site)
public.add_url_rule("/public", "public", lambda: "")
admin.add_url_rule("/admin", "admin", lambda: "")
del site

if __name__ == "__main__":
    print(report(public))
    print(report(admin))
