"""A small HTTP server with the two routes of hummingbot-api, which can be told to fail."""

import base64
import json
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOGIN = "admin:correct"


class StubHummingbotAPI:
    def __init__(self):
        self.changed = threading.Condition()
        self.stored, self.requests = {}, []
        self.statuses: deque[int] = deque()
        """Of the next answers. What is asked for is done only if there is none."""
        self.last_status: int | None = None
        """Of all answers after these, if it is set."""
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def fail(self, *statuses):
        self.statuses.extend(statuses)

    def fail_forever(self, status):
        self.last_status = status

    def answer(self, target, body, authorization):
        with self.changed:
            self.requests.append(target)
            if authorization != "Basic " + base64.b64encode(LOGIN.encode()).decode():
                return 401
            if self.statuses or self.last_status:
                return self.statuses.popleft() if self.statuses else self.last_status
            accounts, action, account, connector = target.strip("/").split("/")
            assert accounts == "accounts"
            if action == "add-credential":
                self.stored[account, connector] = json.loads(body)
                return 201
            assert action == "delete-credential"
            self.stored.pop((account, connector), None)
            return 200


def _handler(api):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status = api.answer(self.path, body, self.headers.get("Authorization", ""))
            content = json.dumps({"detail": f"It has got {body.decode()}."}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    return Handler
