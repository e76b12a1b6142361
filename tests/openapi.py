"""Reading the OpenAPI document."""

COMPONENTS = ("responses", "parameters", "examples")


def resolve(document, node):
    """Return the node with the shared responses, parameters and examples in place."""
    if isinstance(node, list):
        return [resolve(document, item) for item in node]
    if not isinstance(node, dict):
        return node
    kind, _, name = node.get("$ref", "").removeprefix("#/components/").partition("/")
    if kind in COMPONENTS:
        return resolve(document, document["components"][kind][name])
    return {key: resolve(document, value) for key, value in node.items()}
