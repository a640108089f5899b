import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain.currencies import CURRENCIES
from counterfoil.domain.errors import AmountReason, AmountRefused, InvalidRequest
from counterfoil.domain.money import LARGEST_AMOUNT, Money, parse_decimal, refuse_if_unchargeable

chargeable = st.sampled_from(sorted(CURRENCIES.values(), key=lambda rules: rules.code)).flatmap(
    lambda rules: st.integers(-(-rules.minimum // rules.multiple), rules.maximum // rules.multiple).map(
        lambda n: Money(n * rules.multiple, rules.code)
    )
)


def reason_of(money: Money) -> AmountReason | None:
    try:
        refuse_if_unchargeable(money)
    except AmountRefused as refusal:
        return refusal.reason
    return None


def field_of_refusal(amount: int, currency: str) -> str | None:
    with pytest.raises(InvalidRequest) as caught:
        Money(amount, currency)
    return caught.value.field


def test_pitfall_19_the_decimals_are_those_of_stripe_and_not_of_iso_4217() -> None:
    """MGA has no decimals with Stripe and ISK and UGX have two, against ISO; three decimals are exactly five."""
    exponents = {code: CURRENCIES[code].exponent for code in ("EUR", "JPY", "MGA", "ISK", "UGX", "HUF", "TWD")}
    assert exponents == {"EUR": 2, "JPY": 0, "MGA": 0, "ISK": 2, "UGX": 2, "HUF": 2, "TWD": 2}
    assert {c for c, rules in CURRENCIES.items() if rules.exponent == 3} == {"BHD", "JOD", "KWD", "OMR", "TND"}
    zero = {"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"}
    assert {c for c, rules in CURRENCIES.items() if rules.exponent == 0} == zero


def test_a_currency_is_taken_in_either_case_and_kept_upper() -> None:
    """`usd`, `Usd` and `USD` are one currency; on Stripe's wire it is lower case."""
    assert {Money(1999, text).currency for text in ("usd", "Usd", "USD")} == {"USD"}
    assert Money(1999, "USD").stripe_currency == "usd"


@pytest.mark.parametrize(
    "text", ["", "us", "usdd", "u d", "ușd", "\uff35\uff33\uff24", "u\u017fd", "EUR\n", "12a", "K\u212aD"]
)
def test_what_only_looks_like_a_currency_is_refused_before_any_change_of_case(text: str) -> None:
    """Full-width letters, the long s and the Kelvin sign would become ASCII if the case were changed first."""
    assert field_of_refusal(1999, text) == "currency"


@pytest.mark.parametrize("amount", [-1, LARGEST_AMOUNT + 1, True, 19.99, 1999.0, "1999", None])
def test_an_amount_is_a_whole_number_that_a_bigint_holds(amount: int) -> None:
    """Negative, too large for the column, a bool, a float or text: each is no amount."""
    assert field_of_refusal(amount, "usd") == "amount"


def test_the_shape_allows_what_cannot_be_charged() -> None:
    """Nothing refunded yet is 0 USD, and others may charge in currencies that we do not know."""
    assert Money(0, "usd").format() == "0.00 USD"
    assert Money(150, "zzz").format() == "1.50 ZZZ"


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        (50, "usd", None),
        (49, "usd", AmountReason.TOO_SMALL),
        (0, "usd", AmountReason.TOO_SMALL),
        (99_999_999, "usd", None),
        (100_000_000, "usd", AmountReason.TOO_LARGE),
        (2**31, "usd", AmountReason.TOO_LARGE),
        (999_999_999_999, "idr", None),
        (1_000_000_000_000, "idr", AmountReason.TOO_LARGE),
        (999_999_999, "inr", None),
        (9_999_999_999, "cop", None),
        (30, "gbp", None),
        (29, "gbp", AmountReason.TOO_SMALL),
        (50, "jpy", None),
        (199_900, "jpy", None),
        (1, "bif", None),
        (0, "bif", AmountReason.TOO_SMALL),
        (5000, "mga", None),
        (1000, "kwd", None),
        (5120, "kwd", None),
        (5124, "kwd", AmountReason.NOT_A_MULTIPLE),
        (500, "isk", None),
        (150, "isk", AmountReason.NOT_A_MULTIPLE),
        (150, "ugx", AmountReason.NOT_A_MULTIPLE),
        (17_545, "huf", None),
        (80_045, "twd", None),
        (1999, "zzz", AmountReason.CURRENCY_NOT_SUPPORTED),
        (1999, "hrk", AmountReason.CURRENCY_NOT_SUPPORTED),
    ],
)
def test_pitfall_20_the_bounds_of_a_charge_are_stripes(
    amount: int, currency: str, expected: AmountReason | None
) -> None:
    """Each side of each bound that Stripe's page on currencies names, and its special cases."""
    assert reason_of(Money(amount, currency)) == expected


def test_a_refusal_names_the_field_and_never_the_amount_sent() -> None:
    """The currency is at fault where it is, else the amount; the sentence holds the rule, not what was sent."""
    with pytest.raises(AmountRefused) as unsupported:
        refuse_if_unchargeable(Money(1999, "zzz"))
    with pytest.raises(AmountRefused) as too_small:
        refuse_if_unchargeable(Money(17, "usd"))
    assert unsupported.value.field == "currency"
    assert too_small.value.field == "amount"
    assert str(too_small.value) == "the smallest charge in USD is 0.50 USD"


@pytest.mark.parametrize(
    ("text", "currency", "expected"),
    [
        ("19.99", "EUR", 1999),
        ("19.9", "EUR", 1990),
        ("19", "EUR", 1900),
        ("0.5", "usd", 50),
        ("0", "usd", 0),
        ("500", "jpy", 500),
        ("5.124", "kwd", 5124),
        ("5", "isk", 500),
        ("9999999999.99", "idr", 999_999_999_999),
    ],
)
def test_decimal_text_becomes_minor_units_exactly(text: str, currency: str, expected: int) -> None:
    """The decimals are moved as digits; 19.99 times a hundred in floats would be 1998."""
    assert parse_decimal(text, currency).amount == expected


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("19.999", "EUR"),
        ("19.990", "EUR"),
        ("1999.5", "jpy"),
        ("5.00", "isk"),
        ("5.1234", "kwd"),
        ("-1", "EUR"),
        ("+1", "EUR"),
        ("1e3", "EUR"),
        ("1,999.00", "EUR"),
        ("1_999", "EUR"),
        (" 1", "EUR"),
        ("1\n", "EUR"),
        ("1.", "EUR"),
        (".5", "EUR"),
        ("01", "EUR"),
        ("", "EUR"),
        ("NaN", "EUR"),
        ("١٩", "EUR"),
        ("9" * 4000, "EUR"),
    ],
)
def test_decimal_text_is_refused_rather_than_read_kindly(text: str, currency: str) -> None:
    """No rounding, no sign, no exponent, no separator, no digits of another script, no endless number."""
    with pytest.raises(InvalidRequest) as caught:
        parse_decimal(text, currency)
    assert caught.value.field == "amount"


def test_decimal_text_in_an_unknown_currency_is_refused() -> None:
    """How many decimals it has would be a guess, and a wrong guess is a hundredfold charge."""
    with pytest.raises(AmountRefused) as caught:
        parse_decimal("19.99", "ZZZ")
    assert caught.value.reason == AmountReason.CURRENCY_NOT_SUPPORTED


@given(chargeable)
def test_what_can_be_charged_reads_back_from_what_a_person_is_shown(money: Money) -> None:
    """`parse_decimal` of `format()` is the same money, in every currency and within all its bounds."""
    refuse_if_unchargeable(money)
    text, currency = money.format().split(" ")
    assert parse_decimal(text, currency) == money


@given(st.integers(0, LARGEST_AMOUNT), st.sampled_from(sorted(CURRENCIES)))
def test_every_amount_is_either_chargeable_or_refused_with_a_reason(amount: int, currency: str) -> None:
    """No amount that a column can hold makes the check fail in another way than its own."""
    rules = CURRENCIES[currency]
    allowed = rules.minimum <= amount <= rules.maximum and amount % rules.multiple == 0
    assert (reason_of(Money(amount, currency)) is None) == allowed
