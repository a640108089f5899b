"""Every call that we make to Stripe, made to Stripe's own stripe-mock, which knows each URL and each parameter.

It keeps nothing and behaves like nobody, so what is shown is that we speak Stripe's language to the letter: each call
is taken, and with any one name in it misspelt it is refused, so that a misspelling of ours could not pass. Its API is
of 2024-09-30, the nearest to our 2024-06-20; it takes whatever version a request names, unless it is started with
`-strict-version-check`, and then it refuses ours.
"""

import ast
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

import aiohttp
import pytest
from aiohttp import web
from tests import stripe_mock, told
from tests.orders import order
from yarl import URL

from counterfoil.domain.comparing import Resource
from counterfoil.domain.order import Mandate
from counterfoil.domain.payment import CaptureMethod
from counterfoil.domain.refunding import Repayment
from counterfoil.domain.request import Request
from counterfoil.domain.states import AttemptHappening
from counterfoil.processors.stripe import notices, requests
from counterfoil.processors.stripe.account import Account
from counterfoil.processors.stripe.client import StripeProcessor

KEY = "sk_test_mock"
BACK = "https://shop.example/back"
DISPUTED = "ch_disputed"
PAYMENT = UUID("01900000-0000-7000-8000-000000000001")
CONSENT = Mandate(accepted_at=told.START, ip_address="192.0.2.1", user_agent="test")
UNDATED = Mandate(ip_address="192.0.2.1", user_agent="test")

OPERATIONS = {
    "payment_intents.create_async": "POST /v1/payment_intents",
    "payment_intents.confirm_async": "POST /v1/payment_intents/{id}/confirm",
    "payment_intents.capture_async": "POST /v1/payment_intents/{id}/capture",
    "payment_intents.cancel_async": "POST /v1/payment_intents/{id}/cancel",
    "payment_intents.retrieve_async": "GET /v1/payment_intents/{id}",
    "payment_intents.list_async": "GET /v1/payment_intents",
    "payment_methods.retrieve_async": "GET /v1/payment_methods/{id}",
    "charges.retrieve_async": "GET /v1/charges/{id}",
    "charges.create_async": "POST /v1/charges",
    "charges.capture_async": "POST /v1/charges/{id}/capture",
    "charges.list_async": "GET /v1/charges",
    "refunds.create_async": "POST /v1/refunds",
    "disputes.list_async": "GET /v1/disputes",
    "refunds.list_async": "GET /v1/refunds",
    "events.list_async": "GET /v1/events",
    "webhook_endpoints.list_async": "GET /v1/webhook_endpoints",
    "webhook_endpoints.create_async": "POST /v1/webhook_endpoints",
    "webhook_endpoints.update_async": "POST /v1/webhook_endpoints/{id}",
    "webhook_endpoints.delete_async": "DELETE /v1/webhook_endpoints/{id}",
    "refunds.retrieve_async": "GET /v1/refunds/{id}",
    "disputes.retrieve_async": "GET /v1/disputes/{id}",
}
"""The methods of Stripe's SDK that the processor calls, and what each sends."""

EVERY_PAGE = frozenset({"GET /v1/payment_intents", "GET /v1/charges", "GET /v1/refunds"})
"""Lists that are read to their end."""

SOURCES = Path(requests.__file__).parent

NO_CALLS = frozenset({"close_async", "request_async"})
"""Methods of the SDK's transport that look like those."""

Asking = Callable[[StripeProcessor], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Call:
    """A way in which we speak to Stripe. ``ask`` makes the call and returns whether our code could read the answer.

    ``after`` is what has to be called before, for its answer to lead to this call.
    """

    method: str
    shape: str
    ask: Asking
    after: str | None = None


def sent(request: Request) -> Asking:
    """Send it as the steps do; what is said names the intent, and nobody is alarmed."""

    async def ask(stripe: StripeProcessor) -> bool:
        verdict = await stripe.send(request, again=False)
        return verdict.alarm is None and verdict.intent_id is not None

    return ask


def created(kind: str = "card", return_url: str | None = BACK, **changes: Any) -> Asking:
    return sent(requests.create_and_confirm(PAYMENT, order(**changes), kind, return_url))


def confirmed(kind: str = "card", return_url: str | None = BACK, **changes: Any) -> Asking:
    return sent(requests.confirm("pi_1", 2, order(**changes), kind, return_url))


def charged(method: str = "tok_visa", **changes: Any) -> Asking:
    return sent(requests.charge(PAYMENT, order(method=method, **changes), 1))


async def released(stripe: StripeProcessor) -> bool:
    """Let a hold go; stripe-mock's own refund says of which charge, and that no money moved."""
    verdict = await stripe.send(requests.release("ch_1", "event-1", 1), again=True)
    return verdict.alarm is None and verdict.outcome is AttemptHappening.CANCELED


async def look_up_charge(stripe: StripeProcessor) -> bool:
    verdict = await stripe.look_up("ch_1")
    return verdict.alarm is None and verdict.charge_id == "ch_1"


async def find_charge(stripe: StripeProcessor) -> bool:
    request = requests.charge(PAYMENT, order(method="tok_visa"), 1)
    return (await stripe.find(PAYMENT, told.START, told.START, request)).absent


async def look_up(stripe: StripeProcessor) -> bool:
    verdict = await stripe.look_up("pi_1")
    return verdict.alarm is None and verdict.intent_id == "pi_1"


async def find(stripe: StripeProcessor) -> bool:
    """Read the list to its end; stripe-mock's own payment is none of ours."""
    return (await stripe.find(PAYMENT, told.START, told.START)).absent


async def kind_of(stripe: StripeProcessor) -> bool:
    request = await stripe.request_for(PAYMENT, order(method="pm_1AskStripe"))
    kinds: list[str] = requests.call_of(request).parameters["payment_method_types"]
    return kinds == ["card"]


async def learn(stripe: StripeProcessor) -> bool:
    learned = await stripe.learn("ch_1")
    return learned.alarm is None and learned.fee is not None


async def learn_of_disputes(stripe: StripeProcessor) -> bool:
    """Read its disputes; stripe-mock's own is an inquiry, which is none."""
    learned = await stripe.learn(DISPUTED)
    return learned.alarm is None and learned.disputes == ()


def refunded(charge_id: str | None = "ch_1", reason: str | None = None) -> Asking:
    """Give money back; what is said names the refund, and nobody is alarmed."""
    repayment = Repayment(PAYMENT, PAYMENT, "order-1", "event-1", "pi_1", charge_id, 5, reason)

    async def ask(stripe: StripeProcessor) -> bool:
        verdict = await stripe.send_refund(requests.refund(repayment), again=False)
        return verdict.alarm is None and verdict.processor_id is not None

    return ask


async def refunds_of(stripe: StripeProcessor) -> bool:
    listing = await stripe.refunds_of("pi_1", "ch_1")
    return listing.complete and listing.alarm is None


async def list_of_refunds(stripe: StripeProcessor) -> bool:
    """Read the list to its end, as is done for a charge with more refunds than fit into it."""
    return [one.object for one in await stripe.all_refunds({"charge": "ch_1"})] == ["refund", "refund"]


def of_account(ask: Callable[[Account], Awaitable[object]]) -> Asking:
    """Ask about the account; that the answer can be read is seen by its being read."""

    async def asked(stripe: StripeProcessor) -> bool:
        await ask(Account(stripe.sdk))
        return True

    return asked


HOOK = ("https://shop.example/webhooks/stripe", notices.HANDLED_EVENTS, requests.API_VERSION, "we_0")


async def list_of_events(stripe: StripeProcessor) -> bool:
    """Read a page; stripe-mock's own event is of a type that was not asked for."""
    page = await stripe.events(told.START, "evt_1", undelivered=True)
    return (len(page.events), page.unreadable) == (1, ())


def page_of(resource: Resource) -> Asking:
    """Read a page of what Stripe has on record; what stripe-mock shows is of nobody's, or an inquiry, which is none."""

    async def ask(stripe: StripeProcessor) -> bool:
        page = await stripe.books.page(resource, told.START, told.START, "pi_1")
        return page.alarms == () and len(page.shown) + page.foreign > 0

    return ask


async def show_refund(stripe: StripeProcessor) -> bool:
    page = await stripe.books.show(Resource.REFUND, "re_1")
    return page.alarms == () and len(page.shown) + page.foreign == 1


async def show_dispute(stripe: StripeProcessor) -> bool:
    """stripe-mock's own is an inquiry, which is none."""
    page = await stripe.books.show(Resource.DISPUTE, "dp_1")
    return (page.shown, page.alarms) == ((), ())


CALLS = [
    Call("payment_intents.create_async", "a card", created()),
    Call("payment_intents.create_async", "a token", created(method="tok_visa")),
    Call("payment_intents.create_async", "off session", created(return_url=None, off_session=True)),
    Call("payment_intents.create_async", "a customer of Stripe's", created(customer_id="cus_1")),
    Call("payment_intents.create_async", "a hold", created(capture_method=CaptureMethod.MANUAL)),
    Call("payment_intents.create_async", "metadata", created(metadata={"colour": "blue", "größe": "42 [cm]"})),
    Call(
        "payment_intents.create_async", "a known mandate", created("us_bank_account", mandate=Mandate(id="mandate_1"))
    ),
    Call("payment_intents.create_async", "consent to a debit", created("sepa_debit", mandate=CONSENT)),
    Call("payment_intents.create_async", "undated consent", created("bacs_debit", mandate=UNDATED)),
    Call("payment_intents.confirm_async", "a card", confirmed()),
    Call("payment_intents.confirm_async", "a token", confirmed(method="tok_visa")),
    Call("payment_intents.confirm_async", "off session", confirmed(return_url=None, off_session=True)),
    Call("payment_intents.confirm_async", "a known mandate", confirmed("acss_debit", mandate=Mandate(id="mandate_1"))),
    Call("payment_intents.confirm_async", "consent to a debit", confirmed("us_bank_account", mandate=CONSENT)),
    Call("payment_intents.confirm_async", "a hold", confirmed(capture_method=CaptureMethod.MANUAL)),
    Call("payment_intents.capture_async", "a part", sent(requests.capture("pi_1", "event-1", 1, 500))),
    Call("payment_intents.cancel_async", "left by its customer", sent(requests.cancel("pi_1", "event-1", 1))),
    Call("payment_intents.retrieve_async", "by its id", look_up),
    Call("payment_intents.list_async", "around a send, every page", find),
    Call("payment_methods.retrieve_async", "by its id", kind_of),
    Call("charges.create_async", "a token", charged()),
    Call("charges.create_async", "a customer's card", charged("card_1", customer_id="cus_1")),
    Call("charges.create_async", "a hold of a source", charged("src_1", capture_method=CaptureMethod.MANUAL)),
    Call("charges.create_async", "metadata", charged(metadata={"colour": "blue", "größe": "42 [cm]"})),
    Call("charges.capture_async", "in part", sent(requests.take("ch_1", "event-1", 1, 1500))),
    Call("charges.list_async", "around a send, every page", find_charge),
    Call("refunds.create_async", "of a hold", released),
    Call("charges.retrieve_async", "how it stands", look_up_charge),
    Call("charges.retrieve_async", "with its balance transaction", learn),
    Call("disputes.list_async", "of a charge that has some", learn_of_disputes, after="charges.retrieve_async"),
    Call("refunds.create_async", "of a charge", refunded()),
    Call("refunds.create_async", "of an intent, with a reason", refunded(None, "duplicate")),
    Call("charges.retrieve_async", "with its refunds", refunds_of),
    Call("refunds.list_async", "of a charge, every page", list_of_refunds),
    Call(
        "events.list_async",
        "those not delivered",
        of_account(lambda account: account.latest_events((), delivered=False)),
    ),
    Call("webhook_endpoints.list_async", "all of them", of_account(Account.endpoints)),
    Call(
        "webhook_endpoints.create_async", "in another's place", of_account(lambda account: account.add_endpoint(*HOOK))
    ),
    Call(
        "webhook_endpoints.update_async",
        "in nobody's place any more",
        of_account(lambda account: account.settle_endpoint("we_1")),
    ),
    Call("webhook_endpoints.delete_async", "by its id", of_account(lambda account: account.remove_endpoint("we_1"))),
    Call("events.list_async", "that count as undelivered, further on", list_of_events),
    Call("payment_intents.list_async", "of a time, with their charges", page_of(Resource.INTENT)),
    Call("charges.list_async", "of a time, with their balance transactions", page_of(Resource.CHARGE)),
    Call("refunds.list_async", "of a time", page_of(Resource.REFUND)),
    Call("disputes.list_async", "of a time", page_of(Resource.DISPUTE)),
    Call("refunds.retrieve_async", "by its id", show_refund),
    Call("disputes.retrieve_async", "by its id", show_dispute),
]
each_call = pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method}: {call.shape}")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request as it went over the wire, and the status of its answer. ``parameters`` in query or body."""

    method: str
    path: str
    parameters: list[tuple[str, str]]
    headers: Mapping[str, str]
    status: int

    @property
    def operation(self) -> str:
        """What it asks for, whichever object it is about."""
        return f"{self.method} {re.sub(r'/(ch|cus|dp|pi|pm|re|we)_[^/]+', '/{id}', self.path)}"

    def misspelt(self) -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
        """Give path and parameters with one name in them misspelt: each name once, on every level."""
        yield "the path", re.sub(r"^(/v1/\w+?)(?=/|$)", r"\1s", self.path), self.parameters
        for place, (name, value) in enumerate(self.parameters):
            parts = re.findall(r"[^\[\]]+", name)
            for level, part in enumerate(parts):
                if part.isdigit() or (level and parts[0] == "metadata"):  # a place in a list, or a name of our own
                    continue
                names = [*parts[:level], part + part[-1], *parts[level + 1 :]]
                wrong = names[0] + "".join(f"[{inner}]" for inner in names[1:])
                yield wrong, self.path, [*self.parameters[:place], (wrong, value), *self.parameters[place + 1 :]]


@dataclass(frozen=True, slots=True)
class Recorder:
    """Passes requests on and keeps them.

    It says of the first list that it goes on, of one charge that it is disputed, and of endpoints the secret that only
    new ones show, to see that read.
    """

    peer: str
    session: aiohttp.ClientSession
    exchanges: list[Exchange] = field(default_factory=list)

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Bring back what stripe-mock says."""
        body = await request.read()
        url = URL(self.peer + request.raw_path, encoded=True)
        async with self.session.request(request.method, url, data=body, headers=request.headers) as answer:
            said, headers = await answer.json(), {"Request-Id": answer.headers["Request-Id"]}
        parameters = parse_qsl(request.query_string or body.decode(), keep_blank_values=True)
        lists = [one for one in self.exchanges if one.operation in EVERY_PAGE]
        if said.get("object") == "list":
            said["has_more"] = not lists and f"GET {request.path}" in EVERY_PAGE
        if said.get("object") == "charge":
            said["disputed"] = request.path.endswith(f"/{DISPUTED}")
        if said.get("object") == "webhook_endpoint":
            said["secret"] = "whsec_of_the_mock"
        self.exchanges.append(Exchange(request.method, request.path, parameters, dict(request.headers), answer.status))
        return web.json_response(said, status=answer.status, headers=headers)


@pytest.fixture(scope="module")
def mock_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A stripe-mock, built and started once for all tests here."""
    if stripe_mock.GO is None:
        pytest.skip(reason=stripe_mock.WHY_SKIPPED)
    folder = tmp_path_factory.mktemp("stripe-mock")
    with stripe_mock.running(stripe_mock.built(folder), folder) as url:
        yield url


@pytest.fixture
async def recorder(mock_url: str) -> AsyncIterator[Recorder]:
    async with aiohttp.ClientSession() as session:
        yield Recorder(mock_url, session)


@pytest.fixture
async def stripe(recorder: Recorder) -> AsyncIterator[StripeProcessor]:
    runner = web.ServerRunner(web.Server(recorder.answer, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    processor = StripeProcessor(KEY, livemode=False, api_base=url, return_url=BACK)
    yield processor
    await processor.close()
    await runner.cleanup()


async def asked_directly(peer: str, exchange: Exchange, path: str, parameters: list[tuple[str, str]]) -> int:
    """Make a recorded request again, changed or not; return the status."""
    encoded = urlencode(parameters)
    url, body = (f"{path}?{encoded}", None) if exchange.method == "GET" else (path, encoded)
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/x-www-form-urlencoded"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(exchange.method, URL(peer + url, encoded=True), data=body) as answer,
    ):
        return answer.status


def sdk_methods(source: str) -> set[str]:
    """Return the asynchronous methods of Stripe's SDK that a module names, each with the resource that has it."""
    tree = ast.parse(source)
    meant: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            meant |= {ast.unparse(target): ast.unparse(value) for target, value in _pairs(node)}
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    named = [node for node in attributes if node.attr.endswith("_async") and node.attr not in NO_CALLS]
    owners = [(node.attr, ast.unparse(node.value)) for node in named]
    return {f"{meant.get(owner, owner).rpartition('.')[2]}.{method}" for method, owner in owners}


def _pairs(node: ast.Assign) -> Iterator[tuple[ast.expr, ast.expr]]:
    for target in node.targets:
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            yield from zip(target.elts, node.value.elts, strict=True)
        else:
            yield target, node.value


@each_call
async def test_each_call_is_taken_and_its_answer_read(call: Call, stripe: StripeProcessor, recorder: Recorder) -> None:
    """Our processor, over Stripe's SDK, is answered 200 and makes sense of it."""
    understood = await call.ask(stripe)

    heard = {(exchange.operation, exchange.status) for exchange in recorder.exchanges}
    made = {OPERATIONS[method] for method in (call.method, call.after) if method is not None}
    assert (understood, heard) == (True, {(operation, 200) for operation in made})


@each_call
async def test_each_call_with_one_name_misspelt_is_refused(
    call: Call, stripe: StripeProcessor, recorder: Recorder
) -> None:
    """Whichever name it is, and however deep; as it was, the same request is taken."""
    await call.ask(stripe)

    taken = []
    for exchange in recorder.exchanges:
        as_it_was = await asked_directly(recorder.peer, exchange, exchange.path, exchange.parameters)
        assert as_it_was == 200
        for name, path, parameters in exchange.misspelt():
            status = await asked_directly(recorder.peer, exchange, path, parameters)
            if status != (404 if name == "the path" else 400):
                taken.append((name, status))
    assert taken == []


async def test_each_call_names_our_version_and_each_post_its_key(stripe: StripeProcessor, recorder: Recorder) -> None:
    """Without the one Stripe answers as the account's default version has it; without the other it charges twice."""
    for call in CALLS:
        await call.ask(stripe)

    versions = {exchange.headers["Stripe-Version"] for exchange in recorder.exchanges}
    keyed = {(exchange.method, "Idempotency-Key" in exchange.headers) for exchange in recorder.exchanges}
    unkeyed = {("GET", False), ("DELETE", False)}  # doing either twice is doing it once
    assert (versions, keyed) == ({requests.API_VERSION}, {*unkeyed, ("POST", True)})


@pytest.mark.parametrize("finding", [find, find_charge])
async def test_a_list_is_read_to_its_end(stripe: StripeProcessor, recorder: Recorder, finding: Asking) -> None:
    """The second page begins after the last of the first, in the same window of time."""
    await finding(stripe)

    first, second = [dict(exchange.parameters) for exchange in recorder.exchanges]
    assert second == first | {"starting_after": second["starting_after"]}
    assert {"created[gte]", "created[lte]", "limit"} == first.keys()


def test_no_call_is_left_out() -> None:
    """Every method of Stripe's SDK that stands in the processor's source has its line above, and no other has."""
    called = set().union(*(sdk_methods(source.read_text()) for source in SOURCES.glob("*.py")))

    assert OPERATIONS.keys() == called == {call.method for call in CALLS}


def test_a_call_left_out_is_seen() -> None:
    """Called on the client, or by another name for one of its resources, or handed on without being called."""
    planted = (
        "refunds, key = self._client.refunds, None\n"
        "await refunds.create_async({})\n"
        "await self._client.charges.retrieve_async(id)\n"
        "listing = self._client.events.list_async\n"
    )
    assert sdk_methods(planted) == {"refunds.create_async", "charges.retrieve_async", "events.list_async"}


def test_every_name_is_misspelt_once() -> None:
    """On every level, but for places in lists and for names of our own."""
    pairs = [("amount", "1"), ("created[gte]", "2"), ("types[0]", "card"), ("metadata[order_id]", "4")]
    exchange = Exchange("POST", "/v1/payment_intents/pi_1/confirm", pairs, {}, 200)

    names = [name for name, _, _ in exchange.misspelt()]
    paths = {path for _, path, _ in exchange.misspelt()}
    assert names == ["the path", "amountt", "createdd[gte]", "created[gtee]", "typess[0]", "metadataa[order_id]"]
    assert paths == {"/v1/payment_intentss/pi_1/confirm", "/v1/payment_intents/pi_1/confirm"}
