"""Who may call the gateway."""

import asyncio
from datetime import timedelta

import httpx
import pytest
from tests.relay import relayed
from tests.roles.gateway.conftest import Counter
from tests.stage import now, order
from tests.told import Clock

from counterfoil.domain.errors import Unavailable
from counterfoil.roles.gateway.authentication import Doorkeeper, Forbidden, Unauthorized
from counterfoil.store import tokens
from counterfoil.store.pool import Pool, open_pool
from counterfoil.store.tokens import Scope


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer cft_guessed"},
        {"Authorization": "Basic c2hvcDpzaG9w"},
        {"Authorization": "Bearer \u00fc"},
    ],
    ids=["none", "empty", "no token", "unknown token", "basic", "not ASCII"],
)
async def test_without_a_good_token_nothing_is_told(
    gateway: Counter, http: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    """Every route that needs a token answers 401 and says how to come, whatever the body is."""
    sent = httpx.Headers(headers, encoding="latin-1")
    posted = await http.post(f"{gateway.running.url}/charge", headers=sent, content=b"{")
    read = await http.get(f"{gateway.running.url}/payments?limit=none", headers=sent)
    for answer in (posted, read):
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="counterfoil"')
        assert answer.json()["type"] == "urn:counterfoil:problem:unauthorized"


async def test_a_token_in_the_address_is_not_read(gateway: Counter, http: httpx.AsyncClient) -> None:
    """Addresses end up in logs: a token there is no token."""
    answer = await http.get(f"{gateway.running.url}/payments?access_token={gateway.token}&token={gateway.token}")
    assert answer.status_code == 401
    assert gateway.token not in gateway.running.log()


async def test_a_token_opens_what_its_scopes_name(gateway: Counter, http: httpx.AsyncClient) -> None:
    """`charge` charges and `read` reads; any other scope is 403, and nothing is charged."""
    told = await gateway.told(http)
    for scope, token in gateway.limited.items():
        read = await gateway.ask(http, "/payments", token=token)
        assert (scope, 200 if scope is Scope.READ else 403) == (scope, read.status_code)
        if scope is not Scope.CHARGE:
            refused = await gateway.charge(http, order(f"scope-{scope}"), token=token)
            assert (refused.status_code, refused.json()["type"]) == (403, "urn:counterfoil:problem:forbidden")
    assert told == await gateway.told(http)
    charged = await gateway.charge(http, order("scope"), token=gateway.limited[Scope.CHARGE])
    assert charged.status_code == 200


async def test_probes_need_no_token(gateway: Counter, http: httpx.AsyncClient) -> None:
    """Whoever watches the process asks without credentials."""
    codes = [(await http.get(gateway.running.url + path)).status_code for path in ("/healthz", "/readyz", "/metrics")]
    assert codes == [200, 200, 200]


async def test_a_revoked_token_is_refused_within_a_minute(pool: Pool, clock: Clock) -> None:
    """A doorkeeper that knew the token forgets it at most 60 s after it was revoked, without being told."""
    doorkeeper = Doorkeeper(pool, clock)
    async with pool.acquire() as connection:
        token = (await tokens.create(connection, "shop", [Scope.READ], clock.now())).reveal()
        await doorkeeper.admit(f"Bearer {token}", Scope.READ)
        await tokens.revoke(connection, "shop", clock.now())

    clock.advance(timedelta(seconds=60))

    with pytest.raises(Unauthorized):
        await doorkeeper.admit(f"Bearer {token}", Scope.READ)


async def test_a_new_token_is_known_a_moment_later(pool: Pool, clock: Clock) -> None:
    """A token made after the last look at the store is good a second later, while guesses cost no query each."""
    doorkeeper = Doorkeeper(pool, clock)
    with pytest.raises(Unauthorized):
        await doorkeeper.admit("Bearer cft_guessed", Scope.READ)
    async with pool.acquire() as connection:
        token = (await tokens.create(connection, "shop", [Scope.READ], clock.now())).reveal()
    with pytest.raises(Unauthorized):
        await doorkeeper.admit(f"Bearer {token}", Scope.READ)

    clock.advance(timedelta(seconds=1))

    assert (await doorkeeper.admit(f"Bearer {token}", Scope.READ)).name == "shop"
    with pytest.raises(Forbidden):
        await doorkeeper.admit(f"Bearer {token}", Scope.CHARGE)


@pytest.mark.parametrize("connected", [True, False])
async def test_a_silent_store_is_waited_for_once_by_all(migrated_url: str, clock: Clock, *, connected: bool) -> None:
    """A hundred at once wait for the store as long as one, connected before or not; who then comes, not at all.

    A second later it is asked anew.
    """
    with relayed(migrated_url) as relay:
        async with open_pool(relay.url, name="test", largest=10) as pool:
            if connected:
                await tokens.good(pool)
            doorkeeper = Doorkeeper(pool, clock)
            relay.fall_silent()

            began = now()
            answers = await asyncio.gather(
                *(doorkeeper.admit("Bearer cft_x", Scope.READ) for _ in range(100)), return_exceptions=True
            )
            seconds = now() - began
            with pytest.raises(Unavailable):
                await doorkeeper.admit("Bearer cft_x", Scope.READ)
            again_seconds = now() - began - seconds

            relay.speak()
            clock.advance(timedelta(seconds=1))
            with pytest.raises(Unauthorized):
                await doorkeeper.admit("Bearer cft_x", Scope.READ)

    assert {type(answer) for answer in answers} == {Unavailable}
    assert seconds < 10  # one wait of 1.5 s on whatever machine; a hundred would be 150
    assert again_seconds < 1


async def test_a_token_outlives_a_silent_store_for_less_than_a_minute(migrated_url: str, clock: Clock) -> None:
    """What was read within the minute before is still known; later nobody can say, for it may have been revoked."""
    with relayed(migrated_url) as relay:
        async with open_pool(relay.url, name="test", largest=10) as pool:
            async with pool.acquire() as connection:
                token = (await tokens.create(connection, "shop", [Scope.READ], clock.now())).reveal()
            doorkeeper = Doorkeeper(pool, clock)
            await doorkeeper.admit(f"Bearer {token}", Scope.READ)
            relay.fall_silent()

            for seconds in (29, 29, 1):
                clock.advance(timedelta(seconds=seconds))
                assert (await doorkeeper.admit(f"Bearer {token}", Scope.READ)).name == "shop"
            clock.advance(timedelta(seconds=1))
            with pytest.raises(Unavailable):
                await doorkeeper.admit(f"Bearer {token}", Scope.READ)
