"""Which of our customers is which of the processor's, on record."""

from tests.told import Clock

from counterfoil.domain.order import Link
from counterfoil.store import customers
from counterfoil.store.pool import Pool


async def test_a_link_is_replaced_whole(pool: Pool, clock: Clock) -> None:
    """The later one counts; what it leaves out is gone. Who is not linked is left out."""
    await customers.put(pool, "ada", Link("cus_1", "pm_1"), clock.now())
    await customers.put(pool, "ben", Link("cus_2", None), clock.now())
    assert await customers.links(pool, ["ada", "ben", "eve"]) == {
        "ada": Link("cus_1", "pm_1"),
        "ben": Link("cus_2", None),
    }
    await customers.put(pool, "ada", Link("cus_3", None), clock.now())
    assert await customers.links(pool, ["ada"]) == {"ada": Link("cus_3", None)}
