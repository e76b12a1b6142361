"""A test client that acts like a browser without JavaScript."""

import re

TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


class Browser:
    """A test client that sends each form with the CSRF token of the last page."""

    def __init__(self, app):
        self.client = app.test_client()
        self.token = ""

    def get(self, path, **headers):
        return self._remember_token(
            self.client.get(path, base_url="https://localhost", headers=headers)
        )

    def post(self, path, **fields):
        if not self.token:
            self.get("/admin/login")
        form = {"csrf_token": self.token} | fields
        return self._remember_token(self.client.post(path, data=form, base_url="https://localhost"))

    def send(self, path, **fields):
        """Load a page and post a form from it. The previous response may have been a redirect."""
        self.get("/admin/account")
        return self.post(path, **fields)

    def follow(self, response):
        """Return the page that a redirect leads to."""
        assert response.status_code == 303, response.text
        return self.get(response.location)

    def _remember_token(self, response):
        """Store the CSRF token of a page. Forget it after a redirect, which may start a session."""
        if match := TOKEN.search(response.text):
            self.token = match[1]
        elif response.status_code == 303:
            self.token = ""
        return response
