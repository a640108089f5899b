"""Problem documents: small, in the contract's words, and without an echo of what was sent."""

import json

import pytest

from counterfoil.roles.problems import CONTENT_TYPE, Kind, Problem, response

CONTRACT = (
    "invalid-request, card-data-not-accepted, unauthorized, forbidden, not-found, wrong-state, in-progress, "
    "idempotency-key-reused, order-has-payment, amount-refused, method-refused, card-declined, too-large, "
    "rate-limited, unavailable"
)


def test_the_kinds_are_the_contracts() -> None:
    """No kind is missing and none is invented."""
    assert {kind.urn for kind in Kind} == {f"urn:counterfoil:problem:{name}" for name in CONTRACT.split(", ")}


def test_a_problem_says_what_where_and_more() -> None:
    """The document has RFC 9457's members, the field at fault, and the problem's own."""
    problem = Problem(
        Kind.CARD_DECLINED, "the card was declined; try another one", field="payment_method", extra={"can_retry": True}
    )

    answer = response(problem)

    assert (answer.status_code, answer.headers["content-type"]) == (402, CONTENT_TYPE)
    assert json.loads(bytes(answer.body)) == {
        "type": "urn:counterfoil:problem:card-declined",
        "title": "The payment was declined",
        "status": 402,
        "detail": "the card was declined; try another one",
        "field": "payment_method",
        "can_retry": True,
    }


def test_members_of_its_own_never_replace_the_standard_ones() -> None:
    """An extra member named like a standard one is dropped."""
    document = json.loads(Problem(Kind.NOT_FOUND, "no such payment", extra={"status": 200}).body())

    assert document["status"] == 404


@pytest.mark.parametrize("field", ["metadata.order_id", "items[0].sku", "items.3", "X-Thing"])
def test_a_field_that_looks_like_a_name_is_shown(field: str) -> None:
    """Dotted paths with positions pass."""
    assert json.loads(Problem(Kind.INVALID_REQUEST, "wrong", field=field).body())["field"] == field


@pytest.mark.parametrize(
    "field", ["4242424242424242", "metadata.4242424242424242", "a" * 200, "<script>", "größe", "a b", ""]
)
def test_a_field_that_could_be_something_else_is_not_shown(field: str) -> None:
    """A key of the caller's may be anything, a card number too: what is no plain name is left out."""
    assert "field" not in json.loads(Problem(Kind.INVALID_REQUEST, "wrong", field=field).body())


def test_a_document_never_exceeds_2_kib() -> None:
    """However long the parts, the document keeps its type, status and field."""
    problem = Problem(Kind.UNAVAILABLE, "ü" * 5000, field="a" * 120, extra={"decline_code": "x" * 5000})

    body = problem.body()

    assert len(body) <= 2048
    assert json.loads(body)["field"] == "a" * 120


@pytest.mark.parametrize("sign", ["x", "ü", "😀", '"', "\x01"])
def test_what_is_too_long_loses_its_texts_before_its_ids(sign: str) -> None:
    """A bank's endless message is left out; which payment it was, and why, stays, with ids as long as they may be."""
    ids = {"payment_id": "p" * 36, "payment_intent_id": "pi_" + "x" * 24, "order_id": "o" * 255, "event_id": "e" * 255}
    short = {"decline_code": "generic_decline", "can_retry": True}
    problem = Problem(Kind.CARD_DECLINED, sign * 5000, extra={"failure_message": sign * 5000, **short, **ids})

    body = problem.body()

    document = json.loads(body)
    assert len(body) <= 2048
    assert {**ids, **short} == {name: document.get(name) for name in (*ids, *short)}
    assert "failure_message" not in document


def test_when_even_ids_are_too_long_the_longest_goes_first() -> None:
    """Ids that are all quotation marks take twice their room; the payment's own is the last that would go."""
    ids = {"order_id": '"' * 1000, "payment_id": "p" * 36}
    document = json.loads(Problem(Kind.CARD_DECLINED, "declined", extra={**ids, "decline_code": "d"}).body())
    assert (document["payment_id"], "order_id" in document) == ("p" * 36, False)
