"""What of Stripe's API the sandbox covers, as a page: `python -m stripe_sandbox.coverage spec3.json`.

The file is Stripe's OpenAPI document, as stripe-mock's Go module carries it (https://github.com/stripe/stripe-mock).
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from stripe_sandbox.api import OPERATIONS
from stripe_sandbox.calls import Operation
from stripe_sandbox.params import Either, Items, Kind, NotCovered, Shape

HEAD: Final = """# What the sandbox covers of Stripe's API

Written by `make sandbox-coverage` from the code and Stripe's OpenAPI file of {version}; a test fails when it is stale.
*Taken* is read and acted on. *Refused* is known to Stripe and answered with `parameter_not_covered_by_sandbox`, or with
`parameter_unknown` where the sandbox has never heard of it; nothing is ignored. `expand[]` belongs to every operation.
`a.{{b, c}}` are `b` and `c` inside `a`.

{operations} of Stripe's {known} operations, with {taken} of their {all} parameters (hashes count as one).
"""

PAYMENT_PATHS: Final = (
    "/v1/balance_transactions", "/v1/charges", "/v1/customers", "/v1/disputes", "/v1/events", "/v1/mandates",
    "/v1/payment_intents", "/v1/payment_methods", "/v1/refunds", "/v1/sources", "/v1/test_helpers/customers",
    "/v1/test_helpers/refunds", "/v1/webhook_endpoints",
)  # fmt: skip
"""Whose operations are listed when they are missing; of the rest of Stripe's API the sandbox has nothing."""


def page(specification: Mapping[str, Any]) -> str:
    """The page in Markdown, for Stripe's OpenAPI document."""
    rows: list[str] = []
    taken_count = known_count = 0
    for operation in OPERATIONS:
        known = known_parameters(specification, operation)
        taken = [name for name in known if name in covered(operation)]
        taken_count, known_count = taken_count + len(taken), known_count + len(known)
        refused = [name for name in known if name not in taken]
        fields = operation.parameters.fields
        partly = [part for name in taken for part in _refused_within(known[name], fields[name], name)]
        rows.append(f"| `{operation.method} {operation.path}` | {_names(taken)} | {_names([*refused, *partly])} |")
    head = HEAD.format(
        version=specification["info"]["version"],
        operations=len(OPERATIONS),
        known=sum(1 for _ in _operations(specification)),
        taken=taken_count,
        all=known_count,
    )
    missing = [f"- `{method} {path}`" for method, path in missing_operations(specification)]
    return "\n".join(
        [
            head,
            "| operation | taken | refused |",
            "|---|---|---|",
            *sorted(rows),
            "",
            "## Operations on the same objects that are not there",
            "",
            *missing,
            "",
        ]
    )


def covered(operation: Operation) -> list[str]:
    """The parameters that an operation takes, without `expand`."""
    return [name for name, kind in operation.parameters.fields.items() if not isinstance(kind, NotCovered)]


def known_parameters(specification: Mapping[str, Any], operation: Operation) -> dict[str, Mapping[str, Any]]:
    """What Stripe's file lists for an operation, without `expand`, each with its schema.

    Raises:
        KeyError: Stripe has no such operation.
    """
    described = specification["paths"][operation.path][operation.method.lower()]
    known = {
        parameter["name"]: parameter["schema"]
        for parameter in described.get("parameters", ())
        if parameter["in"] == "query"
    }
    for content in described.get("requestBody", {}).get("content", {}).values():
        known |= content["schema"].get("properties", {})
    return {name: schema for name, schema in known.items() if name != "expand"}


def missing_operations(specification: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Stripe's operations on the objects that the sandbox has, as far as it does not have them."""
    here = {(operation.method, operation.path) for operation in OPERATIONS}
    return sorted(
        (method, path)
        for method, path in _operations(specification)
        if path.startswith(PAYMENT_PATHS) and (method, path) not in here
    )


def _operations(specification: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for path, methods in specification["paths"].items():
        for method in methods:
            yield method.upper(), path


def _refused_within(schema: Mapping[str, Any], kind: Kind, name: str) -> Iterator[str]:
    """What Stripe takes inside a parameter and the sandbox does not."""
    if isinstance(kind, NotCovered):
        yield name
    elif isinstance(kind, Items):
        yield from _refused_within(schema.get("items", {}), kind.of, name)
    elif isinstance(kind, Either):
        yield from _refused_within(schema, kind.hash, name)
    elif isinstance(kind, Shape):
        for inner, inner_schema in _hash(schema).items():
            if inner in kind.fields:
                yield from _refused_within(inner_schema, kind.fields[inner], f"{name}.{inner}")
            else:
                yield f"{name}.{inner}"


def _hash(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The names that Stripe takes inside a parameter that is a hash, perhaps beside an empty text that unsets it."""
    for alternative in (schema, *schema.get("anyOf", ())):
        if "properties" in alternative:
            properties: Mapping[str, Any] = alternative["properties"]
            return properties
    return {}


def _names(names: list[str]) -> str:
    """Names in code; those inside one parameter are told together, as `a.{b, c}`."""
    grouped: dict[str, list[str]] = {}
    for name in names:
        outer, dot, inner = name.rpartition(".")
        grouped.setdefault(outer + dot, []).append(inner)
    told = [f"`{name}`" for name in grouped.pop("", [])]
    told += [f"`{outer}{{{', '.join(inner)}}}`" for outer, inner in grouped.items()]
    return ", ".join(told) or "–"


def main() -> None:
    """Prints the page for the file that is the one argument."""
    print(page(json.loads(Path(sys.argv[1]).read_text())), end="")  # noqa: T201 - standard output is its answer


if __name__ == "__main__":
    main()
