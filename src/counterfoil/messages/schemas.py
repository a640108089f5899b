"""The JSON Schemas of all messages, generated from their types: `python -m counterfoil.messages.schemas` renews them.

They are checked in beside this module, a file for each version of a message, so that a change of one is seen as what it
is; a version that was published is only ever added to.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from counterfoil.messages.topics import Direction, Spoken, Topic, spoken

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

FOLDER: Final = Path(__file__).parent / "schemas"

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema_of(topic: Topic, message: Spoken) -> dict[str, Any]:
    """Return the schema of a message as it is on the wire.

    What we say may grow fields, so its schema lets others by; what we hear is refused with a field that is not its own.
    """
    heard = topic.direction is Direction.IN
    schema = message.model.model_json_schema(
        mode="validation" if heard else "serialization", by_alias=True, schema_generator=_Untitled
    )
    for part in (schema, *schema.get("$defs", {}).values()):
        _mend_patterns(part)
        if not heard:
            _open(part)
    return {"$schema": DIALECT, "$id": message.schema_name, **schema}


def text_of(topic: Topic, message: Spoken) -> str:
    """Return the schema as its file has it."""
    return json.dumps(schema_of(topic, message), indent=2, ensure_ascii=False) + "\n"


def renew() -> None:
    """Write the files anew."""
    FOLDER.mkdir(exist_ok=True)
    for topic, message in spoken():
        (FOLDER / message.file_name).write_text(text_of(topic, message), "utf-8")


class _Untitled(GenerateJsonSchema):
    """A field's name is title enough."""

    @override
    def field_title_should_be_set(self, schema: object) -> bool:
        return False


def _open(part: dict[str, Any]) -> None:
    """Let fields by that are still to be added; one that is not known is left out of what we say, never null."""
    part.pop("additionalProperties", None)
    for field in part.get("properties", {}).values():
        kinds = [kind for kind in field.get("anyOf", ()) if kind != _NULL]
        if len(kinds) == 1:
            del field["anyOf"]
            field.update(kinds[0])
        if field.get("default", ...) is None:
            del field["default"]


def _mend_patterns(node: Any) -> None:
    """Write the end of a text as JSON Schema's dialect of patterns has it: ``$`` is the very end there."""
    if isinstance(node, list):
        for child in node:
            _mend_patterns(child)
    elif isinstance(node, dict):
        if isinstance(node.get("pattern"), str):
            node["pattern"] = _in_dialect(node["pattern"])
        if "patternProperties" in node:
            node["patternProperties"] = {_in_dialect(key): kind for key, kind in node["patternProperties"].items()}
        for child in node.values():
            _mend_patterns(child)


def _in_dialect(pattern: str) -> str:
    return pattern.replace(r"\z", "$")


_NULL: Final = {"type": "null"}


if __name__ == "__main__":
    renew()
