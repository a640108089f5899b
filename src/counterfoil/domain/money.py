"""Money: a whole number of minor units and a currency, counted as Stripe counts them; never a float."""

import re
from dataclasses import dataclass
from typing import Final

from counterfoil.domain.currencies import CURRENCIES, Currency
from counterfoil.domain.errors import AmountReason, AmountRefused, InvalidRequest

LARGEST_AMOUNT: Final = 2**63 - 1
"""What a `bigint` column holds; the processor's own maximum is far below."""

_CODE = re.compile(r"[A-Za-z]{3}", re.ASCII)
_DECIMAL = re.compile(r"(?P<whole>0|[1-9][0-9]{0,14})(?:\.(?P<fraction>[0-9]{1,3}))?", re.ASCII)

# Stripe, "Supported currencies": two decimals unless otherwise specified. Only seen on what others charged.
_UNKNOWN_CURRENCY_EXPONENT: Final = 2


def parse_currency(text: str) -> str:
    """Give the upper-case code of three ASCII letters written in either case.

    Raises InvalidRequest for anything else, look-alike letters of other alphabets among it: they are refused before
    any change of case, which would turn some of them into ASCII. Whether the currency can be charged is not asked.
    """
    if not _CODE.fullmatch(text):
        raise InvalidRequest("currency", "must be three ASCII letters, an ISO 4217 code")
    return text.upper()


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of minor units, 0 or more, in a currency whose code is kept in upper case.

    Any three-letter code is a currency here, because what others charged is money too; `refuse_if_unchargeable` asks
    whether we can charge it. Raises InvalidRequest if the amount is no integer of 0 to 2**63 - 1 (`True` is none), or
    the currency is not three ASCII letters.
    """

    amount: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.amount) is not int or not 0 <= self.amount <= LARGEST_AMOUNT:
            raise InvalidRequest("amount", "must be a whole number of minor units, 0 or more")
        object.__setattr__(self, "currency", parse_currency(self.currency))

    @property
    def stripe_currency(self) -> str:
        """The code as Stripe wants it on the wire: lower case ("Supported currencies", presentment currencies)."""
        return self.currency.lower()

    def format(self) -> str:
        """Write it for a person: `19.99 EUR`, `500 JPY`, `5 ISK`.

        No separators between thousands, so that `parse_decimal` reads back what can be charged.
        """
        rules = CURRENCIES.get(self.currency)
        exponent = rules.exponent if rules else _UNKNOWN_CURRENCY_EXPONENT
        if rules and _is_whole_only(rules) and self.amount % rules.multiple == 0:
            return f"{self.amount // rules.multiple} {self.currency}"
        whole, fraction = divmod(self.amount, 10**exponent)
        return f"{whole}.{fraction:0{exponent}d} {self.currency}" if exponent else f"{whole} {self.currency}"


def parse_decimal(text: str, currency: str) -> Money:
    """Turn a decimal number as people write it (`19.99`) into Money, exactly.

    Refuses rather than rounds: no sign, exponent, space or separator of thousands, and no more decimals than the
    currency has, written zeros included. ISK and UGX have none, though Stripe counts them in hundredths.
    Raises InvalidRequest, or AmountRefused for a currency that we cannot charge, whose decimals would be a guess.
    """
    rules = _rules_of(parse_currency(currency))
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise InvalidRequest("amount", "must be a plain decimal number such as 19.99")
    fraction = match["fraction"] or ""
    decimals = 0 if _is_whole_only(rules) else rules.exponent
    if len(fraction) > decimals:
        raise InvalidRequest("amount", f"has more decimals than {rules.code}, which has {decimals}")
    digits = match["whole"] + fraction.ljust(rules.exponent, "0")
    return Money(int(digits), rules.code)


def refuse_if_unchargeable(money: Money) -> None:
    """Raise AmountRefused if Stripe could not charge this much in this currency.

    The rules and their source are those of `counterfoil.domain.currencies`. Refunds are held to no minimum: they do
    not come here.
    """
    rules = _rules_of(money.currency)
    if money.amount < rules.minimum:
        smallest = Money(rules.minimum, rules.code).format()
        raise AmountRefused(AmountReason.TOO_SMALL, f"the smallest charge in {rules.code} is {smallest}")
    if money.amount > rules.maximum:
        largest = Money(rules.maximum, rules.code).format()
        raise AmountRefused(AmountReason.TOO_LARGE, f"the largest charge in {rules.code} is {largest}")
    refuse_if_not_a_multiple(money)


def refuse_if_not_a_multiple(money: Money) -> None:
    """Raise AmountRefused if Stripe counts this currency in larger steps than it writes it, and this is none of them.

    Refunds are held to this and to no minimum ("Supported currencies").
    """
    rules = _rules_of(money.currency)
    if money.amount % rules.multiple:
        why = f"an amount in {rules.code} must be a multiple of {rules.multiple} minor units"
        raise AmountRefused(AmountReason.NOT_A_MULTIPLE, why)


def refuse_if_no_part_of(part: Money, whole: Money) -> None:
    """Raise AmountRefused if this much cannot be taken of what is held, in the same currency.

    Stripe holds it to the multiple, but to no minimum.
    """
    multiple = _rules_of(part.currency).multiple
    if part.amount < 1:
        raise AmountRefused(AmountReason.TOO_SMALL, "nothing cannot be taken")
    if part.amount > whole.amount:
        raise AmountRefused(AmountReason.TOO_LARGE, f"no more than {whole.format()} is held")
    if part.amount % multiple:
        why = f"an amount in {part.currency} must be a multiple of {multiple} minor units"
        raise AmountRefused(AmountReason.NOT_A_MULTIPLE, why)


def _rules_of(code: str) -> Currency:
    rules = CURRENCIES.get(code)
    if rules is None:
        raise AmountRefused(AmountReason.CURRENCY_NOT_SUPPORTED, "this currency cannot be charged")
    return rules


def _is_whole_only(rules: Currency) -> bool:
    """Tell whether no coin is smaller than the unit, whatever decimals Stripe writes."""
    return rules.multiple == int(10**rules.exponent)
