"""Move what several operations repeat to the components of the document, and refer to it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from apispec import APISpec
from marshmallow import Schema

Description = dict[str, Any]
Place = tuple[Description, str]
"""A mapping and a key of it, where the component is used."""


def share_components(spec: APISpec, operations: Iterable[Description]) -> None:
    """Share the examples of the responses, then the responses."""
    responses = [operation["responses"] for operation in operations]
    examples = [
        media["examples"]
        for described in responses
        for response in described.values()
        for media in response.get("content", {}).values()
        if "examples" in media
    ]
    _share(_places(examples), lambda _, name: name, spec.components.example)
    _share(_places(responses), _response_name, spec.components.response)


def _places(mappings: Iterable[Description]) -> Iterator[Place]:
    for mapping in mappings:
        for key in mapping:
            yield mapping, key


def _share(
    places: Iterable[Place],
    name_of: Callable[[Description, str], str],
    register: Callable[[str, Description], Any],
) -> None:
    """Register what is at several places, and put its name there.

    Components that would have the same name are numbered.
    """
    users: dict[str, list[Place]] = defaultdict(list)
    for mapping, key in places:
        users[repr(mapping[key])].append((mapping, key))
    count: Counter[str] = Counter()
    for mapping, key in (found[0] for found in users.values() if len(found) > 1):
        component = mapping[key]
        name = name_of(component, key)
        count[name] += 1
        name += f"-{count[name]}" if count[name] > 1 else ""
        register(name, component)
        for other, other_key in users[repr(component)]:
            other[other_key] = name


def _response_name(response: Description, status: str) -> str:
    """Return the status with the codes of an error, or with the schema of a success."""
    parts: list[str] = []
    for media in response.get("content", {}).values():
        schema: Schema | Mapping[str, Any] = media["schema"]
        parts += media.get("examples") or [type(schema).__name__]
    return "-".join([status, *parts])
