import pytest

from counterfoil.cli.cards import payment_method_of
from counterfoil.cli.exits import WrongUsage


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ("visa", "pm_card_visa"),
        ("insufficient-funds", "pm_card_visa_chargeDeclinedInsufficientFunds"),
        ("pm_1NotReal", "pm_1NotReal"),
        ("tok_visa", "tok_visa"),
    ],
)
def test_a_name_or_an_id_is_a_payment_method(card: str, expected: str) -> None:
    """A person names a test card; a script passes the id that it has."""
    assert payment_method_of(card) == expected


@pytest.mark.parametrize("card", ["4242424242424242", "4242 4242 4242 4242", "378282-246310-005", "6011.0000.0000"])
def test_a_card_number_is_refused_and_not_repeated(card: str) -> None:
    """A card number never travels on from here, nor is it printed again (C12)."""
    with pytest.raises(WrongUsage, match="looks like a card number") as caught:
        payment_method_of(card)
    assert card not in str(caught.value)


@pytest.mark.parametrize("card", ["vsia", "pm_", "pm_../x", "pi_123", "123"])
def test_anything_else_is_usage(card: str) -> None:
    """A misspelt name is answered with the names there are."""
    with pytest.raises(WrongUsage, match="must be the id of a payment method"):
        payment_method_of(card)
