"""A browser without scripts: cookies, and the forms of the pages it is shown."""

import re

TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


class Browser:
    """A test client that keeps its cookies and sends each form with its token."""

    def __init__(self, app):
        self.client = app.test_client()
        self.token = ""

    def get(self, path, **headers):
        return self._seen(self.client.get(path, base_url="https://localhost", headers=headers))

    def post(self, path, **fields):
        if not self.token:
            self.get("/admin/login")
        form = {"csrf_token": self.token} | fields
        return self._seen(self.client.post(path, data=form, base_url="https://localhost"))

    def send(self, path, **fields):
        """Post from a page that was just loaded, for the one before may have been a redirect."""
        self.get("/admin/account")
        return self.post(path, **fields)

    def _seen(self, response):
        """Remember the token of the page; a redirect has none, and the session may be new."""
        if found := TOKEN.search(response.text):
            self.token = found[1]
        elif response.status_code == 303:
            self.token = ""
        return response
