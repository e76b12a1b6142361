"""Read what `/metrics` responds."""

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
