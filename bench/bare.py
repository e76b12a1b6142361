"""A minimal Flask application, served as ours is: the framework's limit."""

import runpy
from collections.abc import Mapping

from flask import Flask, render_template_string
from gunicorn.config import Config

PAGE = """<!doctype html><title>Rows</title><table>{% for row in rows %}
<tr><td>{{ row }}</td><td>Client {{ row }}</td><td>c{{ row }}@example.com</td></tr>
{% endfor %}</table>"""
app = Flask(__name__, static_folder=None)


@app.get("/health")
def health() -> Mapping[str, str]:
    """Report that the server is up."""
    return {"status": "ok"}


@app.post("/api/admin/quick-client")
def hello() -> tuple[Mapping[str, str], int]:
    """Return the status of a create without doing anything."""
    return {"message": "hello"}, 201


@app.get("/admin/")
def page() -> str:
    """Show a table of 50 rows without data, like a list of the console."""
    return render_template_string(PAGE, rows=range(50))


def settings() -> str:
    """Return `gunicorn.conf.py` without its hooks, which belong to our application."""
    configured = runpy.run_path("gunicorn.conf.py")
    plain = {
        name: value
        for name, value in configured.items()
        if name in Config().settings and name != "bind" and isinstance(value, bool | int | str)
    }
    return "".join(f"{name} = {value!r}\n" for name, value in plain.items())


if __name__ == "__main__":
    print(settings(), end="")
