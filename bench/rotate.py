"""Run `flask keys rotate`, and print its seconds, without the application's start."""

import time

from flask.cli import ScriptInfo

from wsgi import app

if __name__ == "__main__":
    begun = time.perf_counter()
    info = ScriptInfo(create_app=lambda: app)
    app.cli.main(["keys", "rotate"], "flask", standalone_mode=False, obj=info)
    print(f"seconds {time.perf_counter() - begun}")
