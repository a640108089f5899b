import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from tests.cli.peer import Peer, Reply

Command = Callable[..., subprocess.CompletedProcess[str]]

CREATED = "2026-01-02T03:04:05.678901Z"
SUCCEEDED: dict[str, Any] = {
    "payment_id": "0199-a",
    "payment_intent_id": "pi_1",
    "order_id": "order-1",
    "event_id": "event-1",
    "status": "succeeded",
    "amount": 1999,
    "currency": "EUR",
    "customer_id": None,
    "payment_method": "pm_card_visa",
    "amount_captured": 1999,
    "amount_refunded": 0,
    "disputed": False,
    "created_at": CREATED,
}
FAILED = {
    **SUCCEEDED,
    "status": "failed",
    "amount_captured": 0,
    "reason": "card_declined",
    "decline_code": "generic_decline",
    "failure_message": "Your card was declined.",
    "can_retry": True,
}
EXPLAINED: dict[str, Any] = {
    "payment_id": "0199-a",
    "status": "in_doubt",
    "known": ["Attempt 1 was sent."],
    "unknown": ["Whether attempt 1 took money."],
    "ahead": [
        {"at": None, "what": "A person acts."},
        {"at": CREATED, "what": "The same request is sent again."},
    ],
}
PROBLEM = "application/problem+json"


def test_pay_sends_the_order_and_says_what_became_of_it(counterfoil: Command, peer: Peer) -> None:
    """A decimal becomes minor units exactly, a test card its payment method, and the answer one line."""
    peer.replies["/charge"] = [Reply(SUCCEEDED)]
    done = counterfoil(
        *("pay", "19.99", "eur", "--card", "mastercard", "--order", "order-1", "--customer", "cus_1"),
        *("--event-id", "event-1"),
        settings=peer.settings,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "succeeded  19.99 EUR  0199-a\n"
    assert peer.asked == [
        (
            "POST",
            "/charge",
            {
                "event_id": "event-1",
                "order_id": "order-1",
                "amount_cents": 1999,
                "currency": "EUR",
                "customer_id": "cus_1",
                "payment_method": "pm_card_mastercard",
            },
        )
    ]
    assert peer.tokens == ["Bearer cf_made_up"]


def test_pay_makes_up_the_ids_it_was_not_given(counterfoil: Command, peer: Peer) -> None:
    """Two payments without ids are two orders, and no method is named: the installation's default is meant."""
    peer.replies["/charge"] = [Reply(SUCCEEDED)]
    for _ in range(2):
        assert counterfoil("pay", "500", "JPY", settings=peer.settings).returncode == 0
    (_, _, first), (_, _, second) = peer.asked
    assert (first["amount_cents"], first["currency"], "payment_method" in first) == (500, "JPY", False)
    assert first["event_id"] != second["event_id"]
    assert first["order_id"] != second["order_id"]


@pytest.mark.parametrize(
    "answer",
    [
        Reply(FAILED, 402),
        Reply({"type": "urn:counterfoil:problem:card-declined", "status": 402, "payment_id": "0199-a"}, 402, PROBLEM),
        Reply({"type": "urn:counterfoil:problem:rate-limited", "status": 429, "payment_id": "0199-a"}, 429, PROBLEM),
    ],
)
def test_a_decline_prints_the_reason_and_exits_1(counterfoil: Command, peer: Peer, answer: Reply) -> None:
    """Whether the answer is the payment or a problem that names it, a person reads why and a script sees exit 1."""
    peer.replies["/charge"] = [answer]
    peer.replies["/payments/0199-a"] = [Reply(FAILED)]
    done = counterfoil("pay", "19.99", "EUR", "--card", "declined", settings=peer.settings)
    assert (done.returncode, done.stdout) == (
        1,
        "failed  19.99 EUR  0199-a  Your card was declined. (generic_decline)\n",
    )


def test_pay_as_json_is_the_answer(counterfoil: Command, peer: Peer) -> None:
    """A script gets the gateway's own object, a failed payment's too."""
    peer.replies["/charge"] = [Reply(FAILED, 402)]
    done = counterfoil("pay", "19.99", "EUR", "--json", settings=peer.settings)
    assert (done.returncode, json.loads(done.stdout)) == (1, FAILED)


def test_what_the_payer_has_to_do_is_shown(counterfoil: Command, peer: Peer) -> None:
    """A payment that waits for approval is no failure: its address is printed."""
    action = {"url": "https://hooks.example.com/approve", "expires_at": None}
    peer.replies["/charge"] = [Reply({**SUCCEEDED, "status": "requires_action", "action": action}, 202)]
    done = counterfoil("pay", "19.99", "EUR", "--card", "3d-secure", settings=peer.settings)
    assert done.returncode == 0
    assert "https://hooks.example.com/approve" in done.stdout


def test_a_retry_of_ours_is_announced(counterfoil: Command, peer: Peer) -> None:
    """A declined payment that is tried again by itself is no failure: pay says when, and so does show."""
    waiting = {**SUCCEEDED, "status": "processing", "amount_captured": 0, "retry_at": CREATED}
    peer.replies["/charge"] = [Reply(waiting, 202)]
    peer.replies["/payments/0199-a"] = [Reply(waiting)]
    peer.replies["/payments/0199-a/timeline"] = [Reply({"payment_id": "0199-a", "entries": []})]
    paid = counterfoil("pay", "19.99", "EUR", "--card", "pm_1", settings=peer.settings)
    assert paid.returncode == 0
    assert "the same method is charged again 2026-01-02 03:04:05" in paid.stdout
    shown = counterfoil("show", "0199-a", settings=peer.settings)
    assert "tried again  2026-01-02 03:04:05" in shown.stdout


@pytest.mark.parametrize(
    ("answer", "code", "line"),
    [
        (
            Reply(
                {"title": "Order has a payment", "detail": "ask for that one", "status": 422, "payment_id": "0199-b"},
                422,
                PROBLEM,
            ),
            1,
            "counterfoil: Order has a payment: ask for that one [422]",
        ),
        (
            Reply({"title": "Not this shape", "detail": "is missing", "field": "order_id"}, 400, PROBLEM),
            1,
            "counterfoil: Not this shape: is missing (order_id) [400]",
        ),
        (Reply({"title": "Unavailable"}, 503, PROBLEM), 69, "counterfoil: Unavailable [503]"),
        (Reply("<html>", 200, "text/html"), 1, "counterfoil: what answers at 127.0.0.1 is no gateway of ours [200]"),
    ],
)
def test_a_refusal_is_one_line(counterfoil: Command, peer: Peer, answer: Reply, code: int, line: str) -> None:
    """What the gateway refuses is told in its own words; where its store is down, the exit code says so."""
    peer.replies["/charge"] = [answer]
    done = counterfoil("pay", "19.99", "EUR", settings=peer.settings)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", line + "\n")


def test_a_wrong_token_says_where_tokens_come_from(counterfoil: Command, peer: Peer) -> None:
    """Somebody who is not let in learns which setting is at fault."""
    peer.replies["/payments"] = [Reply({"title": "Unauthorized"}, 401, PROBLEM)]
    done = counterfoil("list", settings=peer.settings)
    assert done.returncode == 1
    assert "set COUNTERFOIL_TOKEN" in done.stderr


def test_a_lost_answer_is_not_called_a_failure(counterfoil: Command, peer: Peer) -> None:
    """When the gateway hangs up, the payment may have been taken: the line says how to ask again safely."""
    peer.replies["/charge"] = [Reply(None)]
    done = counterfoil("pay", "1", "EUR", "--order", "o", "--event-id", "e", settings=peer.settings)
    assert done.returncode == 69
    assert "--order o --event-id e asks again and never charges twice" in done.stderr


def test_no_gateway_is_exit_69(counterfoil: Command, peer: Peer) -> None:
    """Where nothing listens, the line says what to start."""
    for settings in ({}, {"COUNTERFOIL_URL": "http://127.0.0.1:1"}):
        done = counterfoil("pay", "1", "EUR", settings=settings)
        assert done.returncode == 69
        assert "`counterfoil up`" in done.stderr
    assert peer.asked == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("pay",), 2),
        (("pay", "19.99"), 2),
        (("pay", "19.999", "EUR"), 1),
        (("pay", "1e3", "EUR"), 1),
        (("pay", "-1", "EUR"), 2),
        (("pay", "1", "EURO"), 1),
        (("pay", "1", "EUR", "--card", "4242424242424242"), 2),
        (("list", "--limit", "-1"), 2),
        (("list", "--limit", "0"), 2),
        (("list", "--limit", "1000000000"), 2),
        (("list", "--limit", "abc"), 2),
        (("list", "--status", "paid"), 2),
        (("events", "--after", "-1"), 2),
    ],
)
def test_what_makes_no_sense_is_never_sent(
    counterfoil: Command, peer: Peer, arguments: tuple[str, ...], code: int
) -> None:
    """Wrong arguments end the command before anything is asked of the gateway (C02, C03)."""
    done = counterfoil(*arguments, settings=peer.settings)
    assert (done.returncode, done.stdout, peer.asked) == (code, "", [])


def test_watch_follows_until_the_payment_is_final(counterfoil: Command, peer: Peer) -> None:
    """Each thing that happens is printed once, in its order, and the last line says how it ended."""
    requested = {"at": CREATED, "kind": "fact", "name": "PaymentRequested", "sequence": 1, "details": {}}
    declined = {"at": CREATED, "kind": "fact", "name": "PaymentFailed", "sequence": 2, "details": {"reason": "x"}}
    processing = {**SUCCEEDED, "status": "processing"}
    peer.replies["/charge"] = [Reply(processing, 202)]
    peer.replies["/payments/0199-a"] = [Reply(processing), Reply(FAILED)]
    peer.replies["/payments/0199-a/timeline"] = [
        Reply({"payment_id": "0199-a", "entries": [requested]}),
        Reply({"payment_id": "0199-a", "entries": [requested, declined]}),
    ]
    done = counterfoil("pay", "19.99", "EUR", "--watch", settings=peer.settings)
    assert done.returncode == 1
    assert [line.split()[:4] for line in done.stdout.splitlines()] == [
        ["03:04:05.678", "fact", "PaymentRequested", "#1"],
        ["03:04:05.678", "fact", "PaymentFailed", "#2"],
        ["failed", "19.99", "EUR", "0199-a"],
    ]


def test_show_takes_the_id_of_an_order_too(counterfoil: Command, peer: Peer) -> None:
    """Who has only the order's number finds its payment; ids are quoted, so none can leave its path."""
    entry = {"at": CREATED, "kind": "request", "name": "create", "details": {"http_status": 200, "nothing": None}}
    peer.replies["/orders/order%2F1/payment"] = [Reply(SUCCEEDED)]
    peer.replies["/payments/0199-a/timeline"] = [Reply({"payment_id": "0199-a", "entries": [entry]})]
    done = counterfoil("show", "order/1", settings=peer.settings)
    assert done.returncode == 0
    assert [path for _, path, _ in peer.asked] == [
        "/payments/order%2F1",
        "/orders/order%2F1/payment",
        "/payments/0199-a/timeline",
        "/payments/0199-a/effects",
    ]
    assert "captured   19.99 EUR" in done.stdout
    assert done.stdout.splitlines()[-1].split() == ["03:04:05.678", "request", "create", "http_status=200"]
    as_json = json.loads(counterfoil("show", "order/1", "--json", settings=peer.settings).stdout)
    assert as_json == {**SUCCEEDED, "timeline": [entry], "effects": []}


def test_show_tells_a_check_s_grounds(counterfoil: Command, peer: Peer) -> None:
    """Whoever has to decide reads them as words."""
    grounds = {
        "reasons": ["new device", "far away"],
        "signals": [{"name": "velocity", "weight": 0.25}],
        "confidence": 0.9,
    }
    entry = {"at": CREATED, "kind": "check", "name": "fraud check manual_review", "details": grounds}
    peer.replies["/payments/0199-a"] = [Reply(SUCCEEDED)]
    peer.replies["/payments/0199-a/timeline"] = [Reply({"payment_id": "0199-a", "entries": [entry]})]
    done = counterfoil("show", "0199-a", settings=peer.settings)
    said = " ".join(done.stdout.split())
    assert "reasons=new device, far away signals=velocity 0.25 confidence=0.9" in said


def test_show_of_nothing(counterfoil: Command, peer: Peer) -> None:
    """An id that nothing has is said to be that."""
    done = counterfoil("show", "nothing", settings=peer.settings)
    assert (done.returncode, done.stderr) == (
        1,
        "counterfoil: there is no payment of that id, and no order of that id has one\n",
    )


def test_list_reads_page_after_page(counterfoil: Command, peer: Peer) -> None:
    """The list goes on over pages until it has as many as were asked for."""
    peer.replies["/payments"] = [
        Reply({"payments": [SUCCEEDED, FAILED], "next_cursor": "c2"}),
        Reply({"payments": [SUCCEEDED, FAILED], "next_cursor": "c3"}),
    ]
    done = counterfoil("list", "--limit", "3", "--json", settings=peer.settings)
    assert json.loads(done.stdout) == [SUCCEEDED, FAILED, SUCCEEDED]
    assert [path for _, path, _ in peer.asked] == ["/payments?limit=3", "/payments?limit=1&cursor=c2"]


def test_list_is_a_table(counterfoil: Command, peer: Peer) -> None:
    """A person sees one line for each payment, nothing cut off."""
    peer.replies["/payments"] = [Reply({"payments": [FAILED], "next_cursor": None})]
    done = counterfoil("list", "--status", "failed", settings=peer.settings)
    header, row = (line.rstrip() for line in done.stdout.splitlines())
    assert header.split() == ["created", "payment", "order", "amount", "status", "reason"]
    assert row.endswith("0199-a   order-1  19.99 EUR  failed  Your card was declined. (generic_decline)")
    assert [path for _, path, _ in peer.asked] == ["/payments?limit=20&status=failed"]


def test_explain_says_what_is_known_what_is_not_and_what_is_ahead(counterfoil: Command, peer: Peer) -> None:
    """Three lists under their titles; what has a time begins with it, in the time of this machine."""
    peer.replies["/payments/0199-a"] = [Reply({**SUCCEEDED, "status": "in_doubt"})]
    peer.replies["/payments/0199-a/explanation"] = [Reply(EXPLAINED)]
    done = counterfoil("explain", "0199-a", settings=peer.settings)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "19.99 EUR is in_doubt",
        "",
        "What is known",
        "  Attempt 1 was sent.",
        "",
        "What is not known",
        "  Whether attempt 1 took money.",
        "",
        "What happens next",
        "  A person acts.",
        "  2026-01-02 03:04:05  The same request is sent again.",
    ]


def test_explain_of_what_is_final_says_that_nothing_is_open(counterfoil: Command, peer: Peer) -> None:
    """An order's id will do, and an empty list is a sentence."""
    final = {"at": None, "what": "Nothing: it is final."}
    peer.replies["/orders/order-1/payment"] = [Reply(SUCCEEDED)]
    peer.replies["/payments/0199-a/explanation"] = [
        Reply({**EXPLAINED, "status": "succeeded", "unknown": [], "ahead": [final]})
    ]
    done = counterfoil("explain", "order-1", settings=peer.settings)
    assert done.returncode == 0
    assert "\nWhat is not known\n  Nothing is left open.\n" in done.stdout
    assert done.stdout.endswith("\nWhat happens next\n  Nothing: it is final.\n")


def test_explain_as_json_is_the_answer(counterfoil: Command, peer: Peer) -> None:
    """A script gets the gateway's own object."""
    peer.replies["/payments/0199-a"] = [Reply(SUCCEEDED)]
    peer.replies["/payments/0199-a/explanation"] = [Reply(EXPLAINED)]
    done = counterfoil("explain", "0199-a", "--json", settings=peer.settings)
    assert (done.returncode, json.loads(done.stdout)) == (0, EXPLAINED)


def test_explain_takes_sentences_as_they_are(counterfoil: Command, peer: Peer) -> None:
    """A bank's message may hold what a terminal's markup would be: it is printed, and not obeyed."""
    odd = "Attempt 1 was declined: [bold]no[/] [link=https://x]card[/link] (generic_decline)"
    peer.replies["/payments/0199-a"] = [Reply(FAILED)]
    peer.replies["/payments/0199-a/explanation"] = [Reply({**EXPLAINED, "known": [odd]})]
    done = counterfoil("explain", "0199-a", settings=peer.settings)
    assert (done.returncode, odd in done.stdout) == (0, True)


def test_explain_of_nothing(counterfoil: Command, peer: Peer) -> None:
    """An id that nothing has is said to be that."""
    done = counterfoil("explain", "nothing", settings=peer.settings)
    assert done.returncode == 1
    assert done.stderr == "counterfoil: there is no payment of that id, and no order of that id has one\n"


def test_try_again_sends_the_other_method_and_says_what_became_of_it(counterfoil: Command, peer: Peer) -> None:
    """The payment is found by its order, a test card becomes its method, and the answer is one line."""
    peer.replies["/orders/order-1/payment"] = [Reply(FAILED)]
    peer.replies["/payments/0199-a/payment-method"] = [Reply(SUCCEEDED)]
    done = counterfoil("try-again", "order-1", "--card", "mastercard", settings=peer.settings)
    assert (done.returncode, done.stdout, done.stderr) == (0, "succeeded  19.99 EUR  0199-a\n", "")
    assert peer.asked[-1] == (
        "POST",
        "/payments/0199-a/payment-method",
        {"payment_method": "pm_card_mastercard"},
    )


def test_try_again_that_is_declined_exits_1(counterfoil: Command, peer: Peer) -> None:
    """The problem only names the payment: it is read, and its reason printed."""
    problem = {"type": "urn:counterfoil:problem:card-declined", "status": 402, "payment_id": "0199-a"}
    peer.replies["/payments/0199-a"] = [Reply(FAILED)]
    peer.replies["/payments/0199-a/payment-method"] = [Reply(problem, 402, PROBLEM)]
    done = counterfoil("try-again", "0199-a", "--card", "declined", settings=peer.settings)
    assert done.returncode == 1
    assert done.stdout == "failed  19.99 EUR  0199-a  Your card was declined. (generic_decline)\n"


def test_try_again_of_what_has_not_failed_is_one_line(counterfoil: Command, peer: Peer) -> None:
    """The gateway's own words, and nothing on standard output."""
    title, detail = "The payment's state does not allow this", "a payment that is succeeded cannot be paid again"
    refusal = {"title": title, "detail": detail, "status": 409, "payment_status": "succeeded"}
    peer.replies["/payments/0199-a"] = [Reply(SUCCEEDED)]
    peer.replies["/payments/0199-a/payment-method"] = [Reply(refusal, 409, PROBLEM)]
    done = counterfoil("try-again", "0199-a", "--card", "visa", settings=peer.settings)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"counterfoil: {title}: {detail} [409]\n"


def test_try_again_whose_answer_is_lost_says_how_to_find_out(counterfoil: Command, peer: Peer) -> None:
    """It takes no key, so it is not to be sent again blindly: `show` tells."""
    peer.replies["/payments/0199-a"] = [Reply(FAILED)]
    peer.replies["/payments/0199-a/payment-method"] = [Reply(None)]
    done = counterfoil("try-again", "0199-a", "--card", "visa", settings=peer.settings)
    assert (done.returncode, done.stdout) == (69, "")
    assert "may have been taken; `counterfoil show 0199-a` tells" in done.stderr


def test_try_again_is_followed_until_it_is_final(counterfoil: Command, peer: Peer) -> None:
    """`--watch` prints what happens, the failure before it included, and ends with how it ended."""
    requested = {"at": CREATED, "kind": "fact", "name": "PaymentRequested", "sequence": 3, "details": {}}
    processing = {**SUCCEEDED, "status": "processing"}
    peer.replies["/payments/0199-a"] = [Reply(FAILED), Reply(processing), Reply(SUCCEEDED)]
    peer.replies["/payments/0199-a/payment-method"] = [Reply(processing, 202)]
    peer.replies["/payments/0199-a/timeline"] = [Reply({"payment_id": "0199-a", "entries": [requested]})]
    done = counterfoil("try-again", "0199-a", "--card", "visa", "--watch", settings=peer.settings)
    assert done.returncode == 0
    assert [line.split()[:3] for line in done.stdout.splitlines()] == [
        ["03:04:05.678", "fact", "PaymentRequested"],
        ["succeeded", "19.99", "EUR"],
    ]


@pytest.mark.parametrize(
    "arguments", [("try-again",), ("try-again", "0199-a"), ("try-again", "0199-a", "--card", "4242424242424242")]
)
def test_try_again_without_a_usable_method_asks_nobody(
    counterfoil: Command, peer: Peer, arguments: tuple[str, ...]
) -> None:
    """The method is needed, and a card number is never taken."""
    done = counterfoil(*arguments, settings=peer.settings)
    assert (done.returncode, done.stdout, peer.asked) == (2, "", [])


def test_show_lists_the_money_as_it_stands(counterfoil: Command, peer: Peer) -> None:
    """What was taken back, what the processor keeps, what is left, and each dispute in a line."""
    dispute = {"dispute_id": "dp_1", "status": "lost", "amount": 1999, "currency": "EUR", "reason": "fraudulent"}
    dispute |= {"funds": "withdrawn", "fee": 1500, "fee_currency": "EUR", "opened_at": CREATED}
    money = {"amount_disputed": 1999, "disputed": True, "fee": 88, "fee_currency": "EUR", "net": -1588}
    peer.replies["/payments/0199-a"] = [Reply({**SUCCEEDED, **money, "disputes": [dispute]})]
    peer.replies["/payments/0199-a/timeline"] = [Reply({"payment_id": "0199-a", "entries": []})]
    done = counterfoil("show", "0199-a", settings=peer.settings)
    lines = [line.strip().split(maxsplit=1) for line in done.stdout.splitlines() if line.strip()]
    assert done.returncode == 0, done.stderr
    assert [line for line in lines if line[0] in {"disputed", "fee", "net", "dispute"}] == [
        ["disputed", "19.99 EUR"],
        ["fee", "0.88 EUR"],
        ["net", "-15.88 EUR"],
        ["dispute", "lost  19.99 EUR  withdrawn  for a fee of 15.00 EUR  fraudulent  dp_1"],
    ]
