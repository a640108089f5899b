"""The product and the sandbox each read Stripe's page on currencies; they must have read the same thing in it."""

import pytest

from counterfoil.domain.currencies import CURRENCIES, Currency
from stripe_sandbox import currencies as sandbox
from stripe_sandbox.errors import InvalidError

ALL = sorted(CURRENCIES.values(), key=lambda rules: rules.code)


def accepts(amount: int, currency: str) -> bool:
    try:
        sandbox.check_amount(amount, sandbox.known(currency))
    except InvalidError:
        return False
    return True


def test_both_know_the_same_currencies() -> None:
    """A currency that one of them lacks is a payment refused, or one that fails at Stripe."""
    assert {rules.code.lower() for rules in ALL} == sandbox.SUPPORTED


@pytest.mark.parametrize("rules", ALL, ids=lambda rules: rules.code)
def test_both_count_the_same_decimals(rules: Currency) -> None:
    """A difference of one decimal is a tenfold charge."""
    shown = sandbox.written(10**rules.exponent, rules.code.lower()).partition(" ")[0]
    assert shown == (f"1.{'0' * rules.exponent}" if rules.exponent else "1")


@pytest.mark.parametrize("rules", ALL, ids=lambda rules: rules.code)
def test_what_we_would_charge_the_sandbox_takes(rules: Currency) -> None:
    """Both our bounds pass, and the amount beside a multiple does not."""
    smallest = -(-rules.minimum // rules.multiple) * rules.multiple
    largest = rules.maximum // rules.multiple * rules.multiple
    assert accepts(smallest, rules.code)
    assert accepts(largest, rules.code)
    assert accepts(largest - 1, rules.code) == (rules.multiple == 1)
