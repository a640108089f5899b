"""Who calls, and under which key (group K of the vectors)."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

import httpx
import pytest
from tests.roles.conftest import Served
from tests.roles.hostile.door import Door, Row, Sent, body, raw
from tests.stage import fetch
from tests.told import Clock

from counterfoil.store import tokens
from counterfoil.store.pool import Pool
from counterfoil.store.tokens import Scope


def authorized(*lines: bytes) -> Sent:
    """Return what makes a genuine order with these header lines in place of its Authorization."""
    return body(raw(), *lines, without=[b"Authorization"])


def typed(*lines: bytes) -> Sent:
    """Return what makes a genuine order with these header lines in place of its Content-Type."""
    return body(raw(), *lines, without=[b"Content-Type"])


REFUSED = [
    Row("K01", authorized(), 401, "unauthorized"),
    Row("K02", authorized(b"Authorization: Bearer "), 401, "unauthorized"),
    Row("K02", authorized(b"Authorization: Bearer"), 401, "unauthorized", variant="no-space"),
    Row("K11", body(raw(event_id=r'"key\u0007bell"')), hostile=[b"bell", b"0007"]),
    Row("K11", body(raw(event_id='"clé"')), hostile=["clé".encode()], variant="not-ASCII"),
    Row("K11", body(raw(event_id='"two words"')), hostile=[b"two words"], variant="a-space"),
    Row("K22", typed(), 415),
    Row("K22", typed(b"Content-Type: text/plain"), 415, variant="text"),
    Row("K22", typed(b"Content-Type: multipart/form-data; boundary=x"), 415, variant="multipart"),
    Row("K23", typed(b"Content-Type: application/json; charset=utf-16"), 415, hostile=[b"utf-16"]),
]


@pytest.mark.parametrize("row", REFUSED, ids=Row.shown)
async def test_who_does_not_come_properly_is_refused(gateway: Door, row: Row) -> None:
    """It is a problem of its kind, a 401 says how to come, nothing is written or sent, and the next is charged."""
    answer = await gateway.refuses(row)
    assert answer.headers.get("www-authenticate") == ('Bearer realm="counterfoil"' if row.status == 401 else None)


async def test_k04_k06_a_token_opens_what_it_is_good_for(gateway: Door, tokens_of_callers: Mapping[str, bytes]) -> None:
    """A revoked token is as good as none (K04), and one without the scope is 403 (K06)."""
    for name, status, kind in (("revoked", 401, "unauthorized"), ("reader", 403, "forbidden")):
        token = tokens_of_callers[name]
        await gateway.refuses(Row(name, authorized(b"Authorization: Bearer " + token), status, kind, [token]))


async def test_k04_a_token_in_use_is_refused_a_minute_after_its_revocation(
    told_gateway: Served, http: httpx.AsyncClient, pool: Pool, clock: Clock
) -> None:
    """For charges and for refunds, by a gateway that knew it and is told nothing; until then both were let in."""
    async with pool.acquire() as connection:
        token = (await tokens.create(connection, "shop", [Scope.CHARGE, Scope.REFUND], clock.now())).reveal()

    async def answers() -> list[int]:
        paths = ("/charge", f"/payments/{UUID(int=0)}/refunds")
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "key", "Content-Type": "application/json"}
        url = f"http://127.0.0.1:{told_gateway.port}"
        return [(await http.post(url + path, headers=headers, content=b"{}")).status_code for path in paths]

    before = await answers()
    async with pool.acquire() as connection:
        await tokens.revoke(connection, "shop", clock.now())
    clock.advance(timedelta(seconds=60))

    assert (before, await answers()) == ([400, 404], [401, 401])


@pytest.mark.parametrize("name", [b"api_key", b"access_token"])
async def test_k05_a_token_in_the_address_is_none(
    gateway: Door, tokens_of_callers: Mapping[str, bytes], name: bytes
) -> None:
    """A good token in the query string is 401, and no log holds it."""
    line = b"POST /charge?%b=%b HTTP/1.1" % (name, tokens_of_callers["good"])
    row = Row("K05", lambda door: door.request(line=line, without=[b"Authorization"]), 401, "unauthorized")
    await gateway.refuses(row)
    assert tokens_of_callers["good"].decode() not in gateway.running.log()


async def test_k16_k17_a_key_is_spent_on_one_order(gateway: Door) -> None:
    """The same key with another amount is 422; with other white space and order of keys it is the same payment."""
    first = await gateway.accepts(gateway.request(raw("spent")))
    changed = Row("K16", body(raw("spent", amount_cents="2000")), 422, "idempotency-key-reused", [b"spent", b"2000"])
    await gateway.refuses(changed)
    before = await gateway.tally()

    fields = raw("spent").decode().strip("{}").split(",")
    same = ("{\r\n\t" + " ,\n ".join(reversed(fields)) + "\n}").encode()
    again = await gateway.send(gateway.request(same))

    assert (again.said(), again.headers["idempotent-replayed"]) == (first.said(), "true")
    assert before == await gateway.tally()


async def test_k20_fifty_at_once_are_one_payment(gateway: Door, http: httpx.AsyncClient) -> None:
    """Of fifty with one key each is answered by the one payment or told to come again; Stripe hears of it once."""
    answers = await asyncio.gather(*(gateway.send(gateway.request(raw("fifty"))) for _ in range(50)))

    counted = Counter(answer.status for answer in answers)
    assert counted[200] >= 1
    assert counted[200] + counted[409] == 50
    assert {answer.headers["retry-after"] for answer in answers if answer.status == 409} <= {"1"}
    assert len({answer.said()["payment_id"] for answer in answers if answer.status == 200}) == 1
    assert await fetch(gateway.stage, "SELECT count(*) FROM payments WHERE event_id = 'event-fifty'") == [(1,)]
    log = await http.get(f"{gateway.stage.sandbox_url}/_sandbox/requests?idempotency_key=event-fifty")
    assert len(log.json()["requests"]) == 1
    await gateway.serves()


async def test_k24_json_is_all_we_speak(gateway: Door) -> None:
    """Who accepts nothing but XML is answered in JSON all the same, as HTTP allows."""
    await gateway.accepts(gateway.request(raw("xml"), b"Accept: application/xml"))
