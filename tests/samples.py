"""Read what `/metrics` responds."""

from contextlib import closing
from http.client import HTTPConnection

from prometheus_client.parser import text_string_to_metric_families


def read_samples(text):
    """Return the value of each sample by its name and the values of its labels.

    They are in the order of the labels' names, as in the text.
    """
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def fetch_metrics(port, token):
    """Return the text that an instance responds."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {token}"})
        with connection.getresponse() as response:
            assert response.status == 200
            return response.read().decode()
