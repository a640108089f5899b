"""A person has Stripe's list of events looked through, and reads what was missing."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from tests.roles.gateway.conftest import Counter

from counterfoil.store.tokens import Scope

NOTHING = {"covered_until": None, "next_run_at": None, "asked_at": None, "under_way": None, "last": None}
REPORT = (
    "UPDATE catch_ups SET asked_at = NULL, asked_since = NULL, covered_until = '2026-03-01T12:00:00Z', last_report ="
    """ '{"since": "2026-02-28T12:00:00Z", "started_at": "2026-03-01T12:00:00Z", "ended_at": "2026-03-01T12:00:02Z","""
    """ "listed": 40, "expected": 30, "missing": {"charge.succeeded": 1, "payment_intent.succeeded": 2}}'"""
)


async def post(gateway: Counter, http: httpx.AsyncClient, body: Any, token: str | None = None) -> httpx.Response:
    return await http.post(f"{gateway.running.url}/catch-up", json=body, headers=gateway.authority(token))


async def test_what_a_run_found_is_shown(gateway: Counter, http: httpx.AsyncClient) -> None:
    """Nothing before anybody looked; then expected against found, and what was missing by type."""
    before = (await gateway.ask(http, "/catch-up", token=gateway.limited[Scope.READ])).json()
    asked = await post(gateway, http, {})
    await gateway.fetch(REPORT)
    after = (await gateway.ask(http, "/catch-up", token=gateway.limited[Scope.READ])).json()

    assert before == NOTHING
    assert (asked.status_code, asked.json()["asked_at"]) == (202, asked.json()["next_run_at"])
    assert (after["covered_until"], after["last"]) == (
        "2026-03-01T12:00:00Z",
        {
            "since": "2026-02-28T12:00:00Z",
            "started_at": "2026-03-01T12:00:00Z",
            "ended_at": "2026-03-01T12:00:02Z",
            "listed": 40,
            "expected": 30,
            "found": 27,
            "missing": 3,
            "missing_by_type": {"charge.succeeded": 1, "payment_intent.succeeded": 2},
        },
    )


async def test_a_run_may_be_asked_for_from_a_time_on(gateway: Counter, http: httpx.AsyncClient) -> None:
    """It is on record for the next worker; asked twice, the earlier time holds."""
    early, late = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=1)
    for since in (early, late):
        assert (await post(gateway, http, {"since": since.isoformat()})).status_code == 202
    assert await gateway.fetch("SELECT asked_since FROM catch_ups") == early


@pytest.mark.parametrize("body", [{"since": "2026-03-01T12:00:00"}, {"since": "yesterday"}, {"from": None}])
async def test_a_time_that_is_none_is_refused(gateway: Counter, http: httpx.AsyncClient, body: Any) -> None:
    """Without its zone it could be anybody's."""
    assert (await post(gateway, http, body)).status_code == 400


async def test_only_who_administers_may_ask(gateway: Counter, http: httpx.AsyncClient) -> None:
    """It uses up calls that others want."""
    assert (await post(gateway, http, {}, gateway.limited[Scope.READ])).status_code == 403
