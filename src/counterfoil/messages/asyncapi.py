"""What we say and hear on topics, as an AsyncAPI 3 document: made from the tables and the schemas, never written."""

from typing import Any, Final

from counterfoil.messages.cloud_event import CONTENT_TYPE, SPECIFICATION
from counterfoil.messages.schemas import schema_of
from counterfoil.messages.topics import TOPICS, Direction, Spoken, Topic

VERSION: Final = "3.0.0"
"""Of AsyncAPI (https://www.asyncapi.com/docs/reference/specification/v3.0.0)."""

_ABOUT: Final = """\
CloudEvents 1.0 in binary mode: what is said about a message stands in its headers, the message is its value.
Order holds for one payment within a topic: a consumer ignores a `ce_sequence` not above the last it saw of a payment
there. Gaps are normal, for the facts of one payment are spread over topics. Each is delivered at least once; its
`ce_id` tells whether it came before."""

_HEADERS: Final[dict[str, Any]] = {
    "type": "object",
    "description": "CloudEvents attributes, as the Kafka binding's binary mode names them.",
    "required": ["ce_specversion", "ce_id", "ce_type", "ce_source", "content-type"],
    "properties": {
        "ce_specversion": {"type": "string", "const": SPECIFICATION},
        "ce_id": {"type": "string", "description": "of the fact: the same again is the same fact"},
        "ce_type": {"type": "string", "description": "the message's name"},
        "ce_source": {"type": "string", "description": "which installation says it: /counterfoil/<name>"},
        "ce_dataschema": {"type": "string", "description": "name and version of the message's schema"},
        "ce_subject": {"type": "string", "description": "whose fact it is: the payment's id"},
        "ce_partitionkey": {"type": "string", "description": "the message's key: the payment's id"},
        "ce_sequence": {"type": "string", "description": "1, 2, 3 … of this payment, over all topics"},
        "ce_time": {"type": "string", "format": "date-time", "description": "when it became true"},
        "content-type": {"type": "string", "const": CONTENT_TYPE},
        "traceparent": {"type": "string", "description": "W3C Trace Context, where the order was traced"},
    },
}


def document(version: str) -> dict[str, Any]:
    """Return the document; ``version`` is this software's own."""
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Counterfoil",
            "version": version,
            "description": "Payment orders in, facts about payments out.\n\n" + _ABOUT,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {_key(topic): _channel(topic) for topic in TOPICS},
        "operations": {_operation_key(topic): _operation(topic) for topic in TOPICS},
        "components": {
            "messages": {message.name: _message(topic, message) for topic in TOPICS for message in topic.messages},
            "messageTraits": {"cloudEvent": {"headers": _HEADERS}},
        },
    }


def _channel(topic: Topic) -> dict[str, Any]:
    return {
        "address": topic.name,
        "description": topic.purpose,
        "messages": {message.name: {"$ref": f"#/components/messages/{message.name}"} for message in topic.messages},
    }


def _operation(topic: Topic) -> dict[str, Any]:
    channel = f"#/channels/{_key(topic)}"
    return {
        "action": "receive" if topic.direction is Direction.IN else "send",
        "channel": {"$ref": channel},
        "summary": topic.purpose,
        "messages": [{"$ref": f"{channel}/messages/{message.name}"} for message in topic.messages],
    }


def _message(topic: Topic, message: Spoken) -> dict[str, Any]:
    schema = schema_of(topic, message)
    payload = {key: value for key, value in schema.items() if key != "$schema"}
    told: dict[str, Any] = {
        "name": message.name,
        "title": f"{message.name} {message.version}",
        "summary": schema["description"],
        "contentType": CONTENT_TYPE,
        "payload": _with_definitions(payload),
    }
    if topic.direction is Direction.OUT:
        told["traits"] = [{"$ref": "#/components/messageTraits/cloudEvent"}]
    return told


def _with_definitions(schema: dict[str, Any]) -> dict[str, Any]:
    """Put each definition where it is used: a reference within a schema would be read from the document's root."""
    definitions = schema.pop("$defs", {})

    def whole(node: Any) -> Any:
        if isinstance(node, list):
            return [whole(child) for child in node]
        if not isinstance(node, dict):
            return node
        reference = node.get("$ref", "")
        if reference.startswith("#/$defs/"):
            beside = {key: value for key, value in node.items() if key != "$ref"}
            return whole({**definitions[reference.removeprefix("#/$defs/")], **beside})
        return {key: whole(value) for key, value in node.items()}

    expanded: dict[str, Any] = whole(schema)
    return expanded


def _key(topic: Topic) -> str:
    return topic.name.replace(".", "_")


def _operation_key(topic: Topic) -> str:
    return f"{'hear' if topic.direction is Direction.IN else 'say'}_{_key(topic)}"
