"""The keys under which Stripe remembers what we asked: readable where they can be, and never another event's."""

import pytest
from tests.orders import order

from counterfoil.processors.stripe import requests


@pytest.mark.parametrize(
    "event_id", ["event-1", "e", "order:1234:paid", "a" * 200, "1:capture", "order:123", ":cancel:"]
)
def test_pitfall_09_an_event_id_is_its_own_key(event_id: str) -> None:
    """So that an order is found in Stripe's dashboard by what its own service calls it."""
    assert requests.key_for(event_id) == event_id


@pytest.mark.parametrize(
    "event_id",
    ["e:2", "e:99", "e:capture:1", "e:cancel:12", "e:refund:any", "a" * 201, "sha256:" + "0" * 64],
)
def test_an_event_id_that_could_be_another_ones_key_is_hashed(event_id: str) -> None:
    """What we append to one event's key is never the key of another event."""
    key = requests.key_for(event_id)
    assert (key[:7], len(key)) == ("sha256:", 71)
    assert key != event_id


def test_what_is_appended_to_a_key_is_taken_for_appended() -> None:
    """Every key that we make of an event by appending would be hashed if it came as an event id."""
    again = requests.confirm("pi_1", 2, order(), "card", None)
    let_go = requests.cancel("pi_1", "event-1", 3)
    assert [again.key, let_go.key] == ["event-1:2", "event-1:cancel:3"]
    assert all(requests.key_for(request.key).startswith("sha256:") for request in (again, let_go))
