"""Tokens: made once, known by their hash, ended by name."""

import pytest
from tests import told

from counterfoil.domain.errors import InvalidRequest, NotFound
from counterfoil.store import tokens
from counterfoil.store.pool import Pool
from counterfoil.store.tokens import Bearer, Scope


async def test_a_token_is_known_by_its_hash_alone(pool: Pool, clock: told.Clock) -> None:
    """The token admits its bearer, and stands nowhere in the database."""
    async with pool.acquire() as connection:
        token = await tokens.create(connection, "shop", [Scope.READ, Scope.CHARGE], clock.now())
    expected = {tokens.digest(token.reveal()): Bearer("shop", frozenset({Scope.READ, Scope.CHARGE}))}
    assert expected == await tokens.good(pool)
    assert token.reveal() not in str(await pool.fetch("SELECT * FROM tokens"))


async def test_a_revoked_token_is_good_no_more(pool: Pool, clock: told.Clock) -> None:
    """It stays on the list, with the time of its end."""
    async with pool.acquire() as connection:
        await tokens.create(connection, "shop", [Scope.READ], clock.now())
        await tokens.revoke(connection, "shop", clock.now())
        listed = await tokens.listed(connection)
    assert await tokens.good(pool) == {}
    assert [("shop", clock.now())] == [(token.name, token.revoked_at) for token in listed]


async def test_a_name_is_taken_once(pool: Pool, clock: told.Clock) -> None:
    """Two tokens of one name could not be told apart in the log."""
    async with pool.acquire() as connection:
        await tokens.create(connection, "shop", [Scope.READ], clock.now())
        with pytest.raises(InvalidRequest):
            await tokens.create(connection, "shop", [Scope.READ], clock.now())


async def test_revoking_what_is_not_there_says_so(pool: Pool, clock: told.Clock) -> None:
    """A typing error must not look like success."""
    async with pool.acquire() as connection:
        with pytest.raises(NotFound):
            await tokens.revoke(connection, "nobody", clock.now())
