"""Stripe's own OpenAPI file, which says what every answer looks like.

It comes inside the Go module of stripe-mock and is not copied here. Where Go is installed, every answer, error, list
and event that a test sees is held against it; elsewhere the tests say less, and `test_openapi.py` is skipped by name.
The file is of 2024-09-30, the first after the sandbox's version; it only adds to what 2024-06-20 had of payments.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests import stripe_mock

WHY_SKIPPED = "Go is not installed, and Stripe's OpenAPI file comes in stripe-mock's Go module"

OLDEST = "2022-11-15"
"""Before this version payments had lists that the file does not know."""

NOT_IN_THE_FILE: Mapping[str, set[str]] = {
    "charge": {"destination", "dispute", "order", "source"},
    "payment_intent": {"source"},
}
"""What Stripe's answers have although its file does not say so; the official SDKs have lived with them for years."""

TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


def found() -> Path | None:
    """Where the file is, fetching its module if need be; None without Go."""
    return None if stripe_mock.GO is None else stripe_mock.fetched() / stripe_mock.FILE


@cache
def specification() -> "Specification | None":
    """The file, read once for each test process."""
    path = found()
    return None if path is None else Specification(json.loads(path.read_text()))


@dataclass(frozen=True)
class Specification:
    """The OpenAPI document, and what in an answer is not as it says."""

    document: Mapping[str, Any]

    def answer_problems(self, method: str, path: str, status: int, body: Any) -> list[str]:
        """What is wrong with the answer to a request under `/v1`; errors are the same for every operation."""
        operation = self._operation(method, path) if status < 400 else None
        if status >= 400:
            return list(self._problems({"$ref": "#/components/schemas/error"}, body, "error"))
        if operation is None:
            return [f"Stripe has no {method} {path}"]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        return list(self._problems(schema, body, ""))

    def event_problems(self, event: Any) -> list[str]:
        """What is wrong with an event and the object that it carries."""
        carried = event["data"]["object"]
        schema = {"$ref": f"#/components/schemas/{carried['object']}"}
        return [
            *self._problems({"$ref": "#/components/schemas/event"}, event, "event"),
            *self._problems(schema, carried, event["type"]),
        ]

    def _operation(self, method: str, path: str) -> Any:
        paths = self.document["paths"]
        fitting = [
            template
            for template in paths
            if method.lower() in paths[template] and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path)
        ]
        return paths[min(fitting, key=lambda template: template.count("{"))][method.lower()] if fitting else None

    def _problems(self, schema: Mapping[str, Any], value: Any, where: str) -> Iterator[str]:
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            yield from self._problems({**self.document["components"]["schemas"][name], "x-name": name}, value, where)
        elif value is None:
            if not schema.get("nullable") and schema:
                yield f"{where} is null"
        elif "anyOf" in schema:
            yield from self._of_any(schema["anyOf"], value, where)
        else:
            yield from self._of_type(schema, value, where)

    def _of_any(self, schemas: list[Mapping[str, Any]], value: Any, where: str) -> Iterator[str]:
        """The problems with the alternative that an object claims to be, or else with whichever fits best."""
        if isinstance(value, dict) and "object" in value:
            claimed = f"#/components/schemas/{value['object']}"
            schemas = [schema for schema in schemas if schema.get("$ref") == claimed] or schemas
        outcomes = [list(self._problems(schema, value, where)) for schema in schemas]
        yield from min(outcomes, key=len)

    def _of_type(self, schema: Mapping[str, Any], value: Any, where: str) -> Iterator[str]:
        expected = TYPES.get(schema.get("type", ""), (object,))
        if not isinstance(value, expected) or (
            isinstance(value, bool) and bool not in expected and expected != (object,)
        ):
            yield f"{where} is {type(value).__name__}, not {schema['type']}"
            return
        if "enum" in schema and value not in schema["enum"]:
            yield f"{where} is {value!r}, not one of {schema['enum']}"
        if isinstance(value, str):
            if len(value) > schema.get("maxLength", len(value)):
                yield f"{where} is longer than {schema['maxLength']}"
            if "pattern" in schema and re.search(schema["pattern"], value) is None:
                yield f"{where} is {value!r}, which does not match {schema['pattern']}"
        elif isinstance(value, list):
            for place, entry in enumerate(value):
                yield from self._problems(schema.get("items", {}), entry, f"{where}[{place}]")
        elif isinstance(value, dict):
            yield from self._of_object(schema, value, where)

    def _of_object(self, schema: Mapping[str, Any], value: Mapping[str, Any], where: str) -> Iterator[str]:
        properties = schema.get("properties")
        others = schema.get("additionalProperties", {})
        for name in schema.get("required", ()):
            if name not in value:
                yield f"{where}.{name} is missing"
        for name, inner in value.items():
            if properties is not None and name in properties:
                yield from self._problems(properties[name], inner, f"{where}.{name}")
            elif isinstance(others, dict) and others:
                yield from self._problems(others, inner, f"{where}.{name}")
            elif properties and name not in NOT_IN_THE_FILE.get(schema.get("x-name", ""), ()):
                yield f"{where}.{name} is not in the file"


def check_answer(method: str, url: str, status: int, body: Any) -> None:
    """Holds an answer of `/v1` against the file, where the file is to be had."""
    path = url.partition("?")[0]
    known = specification() if path.startswith("/v1/") else None
    problems = [] if known is None else known.answer_problems(method, path, status, body)
    assert not problems, f"{method} {path} [{status}]: {'; '.join(problems)}"


def check_event(event: Any) -> None:
    """Holds a delivered event against the file, where the file is to be had and knows the event's version."""
    known = specification() if event.get("api_version", "") >= OLDEST else None
    problems = [] if known is None else known.event_problems(event)
    assert not problems, f"{event['type']}: {'; '.join(problems)}"


if __name__ == "__main__":
    print(found() or sys.exit(WHY_SKIPPED))  # noqa: T201 - for `make sandbox-coverage`
