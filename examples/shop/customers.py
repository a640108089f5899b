"""Customers who order: `python -m examples.shop.customers --orders 200 --seed 1 --shop http://127.0.0.1:8090`.

What they do is a plan, and the same seed is the same plan; how the shop answers is the shop's. It is for demonstrations
and tests: nobody copies this into a shop.
"""

import argparse
import hashlib
import http.client
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum, unique
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

AT_ONCE: Final = 8
"""Customers who are in the shop at the same time."""

POLLS: Final = 300
POLL_SECONDS: Final = 0.2
"""How long a customer waits for their payment before they cancel all the same: a minute."""

ANSWER_SECONDS: Final = 30


@unique
class Cancels(StrEnum):
    """When a customer changes their mind."""

    NEVER = "never"
    AT_ONCE = "at once"
    ONCE_PAID = "once paid"


@dataclass(frozen=True, slots=True)
class Visit:
    """What one customer does: orders, and perhaps cancels."""

    order_id: str
    customer_id: str
    email: str
    items: tuple[tuple[str, int], ...]
    payment_method: str
    off_session: bool
    cancels: Cancels

    def body(self) -> dict[str, Any]:
        """Return the order as it is placed."""
        return {
            "order_id": self.order_id,
            "customer_id": self.customer_id,
            "email": self.email,
            "items": [{"sku": sku, "quantity": quantity} for sku, quantity in self.items],
            "payment_method": self.payment_method,
            "off_session": self.off_session,
        }


T = TypeVar("T")

SKUS: Final = {
    "tea-sencha": 24,
    "tea-assam": 20,
    "tea-rooibos": 20,
    "cup-white": 18,
    "pot-iron": 10,
    "kettle-copper": 5,
    "tray-walnut": 3,
}
METHODS: Final = {
    "pm_card_visa": 80,
    "pm_card_mastercard": 6,
    "pm_card_chargeDeclined": 7,
    "pm_card_chargeDeclinedInsufficientFunds": 7,
}
OFF_SESSION: Final = {False: 85, True: 15}
CANCELS: Final = {Cancels.NEVER: 88, Cancels.AT_ONCE: 6, Cancels.ONCE_PAID: 6}
PIECES: Final = {1: 70, 2: 20, 3: 10}
LINES: Final = {1: 60, 2: 30, 3: 10}
"""Each with its share of a hundred."""


def plan(seed: int, orders: int) -> tuple[Visit, ...]:
    """Return what so many customers do. The same seed and number give the same visits, on every machine."""
    return tuple(_visit(seed, number) for number in range(1, orders + 1))


def _visit(seed: int, number: int) -> Visit:
    def draw(what: str, shares: Mapping[T, int]) -> T:
        """Draw by a digest, not by a generator: each draw is its own, whatever else is drawn before it."""
        digest = hashlib.sha256(f"{seed}:{number}:{what}".encode()).digest()
        left = int.from_bytes(digest[:8], "big") % sum(shares.values())
        for one, share in shares.items():
            left -= share
            if left < 0:
                return one
        raise AssertionError("shares add up to their sum")

    lines = Counter[str]()
    for line in range(draw("lines", LINES)):
        lines[draw(f"sku {line}", SKUS)] += draw(f"pieces {line}", PIECES)
    method = draw("method", METHODS)
    declined = "Declined" in method
    cancels = draw("cancels", CANCELS)
    return Visit(
        order_id=f"order-{seed}-{number}",
        customer_id=f"customer-{seed}-{number}",
        email=f"customer-{seed}-{number}@example.com",
        items=tuple(sorted(lines.items())),
        payment_method=method,
        off_session=draw("off_session", OFF_SESSION),
        # Whoever is declined will not be paid, and must not wait for it.
        cancels=Cancels.NEVER if declined and cancels is Cancels.ONCE_PAID else cancels,
    )


class ShopAway(Exception):
    """The shop did not answer as a shop does. The sentence says how."""


def play(visits: Iterable[Visit], shop: str, progress: Callable[[int], None] = lambda _done: None) -> Counter[str]:
    """Let customers visit, a few at a time; return how many visits ended how.

    Args:
        visits: what they do.
        shop: its address.
        progress: is told how many have left, after each.

    Raises:
        ShopAway: it does not answer, or not as it should.
    """
    ends = Counter[str]()
    with ThreadPoolExecutor(AT_ONCE) as customers:
        for end in customers.map(lambda visit: _pay_a_visit(visit, shop), visits):
            ends[end] += 1
            progress(ends.total())
    return ends


def _pay_a_visit(visit: Visit, shop: str) -> str:
    status, answer = _ask(shop, "POST", "/orders", visit.body())
    if status == HTTPStatus.CONFLICT and "sku" in answer:
        return "out of stock"
    if status not in (HTTPStatus.CREATED, HTTPStatus.OK):
        raise ShopAway(f"{visit.order_id} was answered {status}")
    if visit.cancels is Cancels.NEVER:
        return "ordered"
    if visit.cancels is Cancels.ONCE_PAID:
        _wait_for_payment(visit, shop)
    status, _ = _ask(shop, "POST", f"/orders/{visit.order_id}/cancel")
    if status != HTTPStatus.OK:
        raise ShopAway(f"the cancellation of {visit.order_id} was answered {status}")
    return f"cancelled {visit.cancels}"


def _wait_for_payment(visit: Visit, shop: str) -> None:
    for _ in range(POLLS):
        _, order = _ask(shop, "GET", f"/orders/{visit.order_id}")
        if order.get("status") != "placed":
            return
        time.sleep(POLL_SECONDS)


def _ask(shop: str, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(*_place(shop), timeout=ANSWER_SECONDS)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ShopAway(f"no answer from {shop}: {type(error).__name__}") from error
    finally:
        connection.close()


def _place(shop: str) -> tuple[str, int | None]:
    """Return a shop's host and port. Raises ShopAway where its address is none."""
    try:
        address = urlsplit(shop)
        scheme, host, port = address.scheme, address.hostname, address.port
    except ValueError:
        scheme, host, port = "", None, None
    if host is None or scheme != "http":
        raise ShopAway(f"{shop} is no http address")
    return host, port


def main() -> int:
    """Let them in, and say how their visits ended."""
    parser = argparse.ArgumentParser(prog="python -m examples.shop.customers", description="Customers who order.")
    parser.add_argument("--orders", type=int, default=100, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="which; the same seed is the same customers")
    parser.add_argument("--shop", default="http://127.0.0.1:8090", help="where the shop is")
    given = parser.parse_args()
    if given.orders < 1:
        parser.error("--orders must be 1 or more")
    try:
        ends = play(plan(given.seed, given.orders), given.shop, _show)
    except ShopAway as away:
        sys.stderr.write(f"\n{away}\n")
        return 1
    sys.stdout.write("\n" + "".join(f"{count:>6} {end}\n" for end, count in sorted(ends.items())))
    return 0


def _show(done: int) -> None:
    sys.stderr.write(f"\r{done} customers")


if __name__ == "__main__":
    sys.exit(main())
