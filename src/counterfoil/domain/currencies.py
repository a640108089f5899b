"""Currencies as Stripe counts them: decimals, multiples, smallest and largest charge.

The source of every figure is Stripe's page "Supported currencies" (docs.stripe.com/currencies); the section is named
beside each table. Stripe's decimals are not those of ISO 4217: MGA has a minor unit there (a fifth) and none here;
ISK and UGX have none there and two here. So no table of another library is used.

What the page leaves to Stripe itself, and we therefore do not decide here:

- Which of these currencies an account may present depends on its country; Stripe's answer is the last word.
- A minimum is that of the currency the account is paid out in. We know the currency of the charge only, so its own
  minimum is asked for, which is exact where the two are the same. A few methods (iDEAL) would allow less.
- Cards of some networks allow more than the general maximum (and American Express, in IDR, less). The general one
  holds for every method, so it is the one asked for.
- HUF and TWD may be charged with decimals. They have none in payouts only, and we make no payouts.
"""

from dataclasses import dataclass
from typing import Final

# "Supported presentment currencies", with the five of three decimals, which the page lists for some countries only.
_PRESENTMENT: Final = """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CLP CNY
    COP CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR ISK JMD
    JOD JPY KES KGS KHR KMF KRW KWD KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD
    NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SEK SGD SHP SLE SOS SRD STD SZL
    THB TJS TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VND VUV WST XAF XCD XOF XPF YER ZAR ZMW
"""

# "Zero-decimal currencies". The page's list has UGX too, and its special cases overrule that.
_NO_DECIMALS: Final = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF"

# "Three-decimal currencies": the last digit must be 0, so 5.124 KWD can be charged as 5120 or 5130 only.
_THREE_DECIMALS: Final = "BHD JOD KWD OMR TND"

# "Special cases": written with two decimals that are always 00, for there is no smaller coin.
_WHOLE_UNITS_ONLY: Final = "ISK UGX"

# "Minimum charge amount by currency", in minor units. BGN has left the page since Bulgaria took the euro.
_MINIMUM: Final = {
    "AED": 2_00,
    "ARS": 50,
    "AUD": 50,
    "BGN": 1_00,
    "BRL": 50,
    "CAD": 50,
    "CHF": 50,
    "COP": 50,
    "CZK": 15_00,
    "DKK": 2_50,
    "EUR": 50,
    "GBP": 30,
    "HKD": 4_00,
    "HUF": 175_00,
    "IDR": 50,
    "ILS": 50,
    "INR": 50,
    "JPY": 50,
    "KRW": 50,
    "MXN": 10_00,
    "MYR": 2_00,
    "NOK": 3_00,
    "NZD": 50,
    "PHP": 50,
    "PLN": 2_00,
    "RON": 2_00,
    "RUB": 50,
    "SEK": 3_00,
    "SGD": 50,
    "THB": 10_00,
    "USD": 50,
    "ZAR": 50,
}

# "Maximum charge amounts": eight digits, but for these.
_MAXIMUM_OF_MOST: Final = 99_999_999
_MAXIMUM: Final = {"COP": 9_999_999_999, "IDR": 999_999_999_999, "INR": 999_999_999}


@dataclass(frozen=True, slots=True)
class Currency:
    """The rules of one currency; every amount in minor units as Stripe counts them."""

    code: str
    """ISO 4217, upper case."""
    exponent: int
    """How many decimals the minor unit stands for: 0, 2 or 3."""
    multiple: int
    """What a charge must be a multiple of: 1, 10 or 100."""
    minimum: int
    """The smallest charge."""
    maximum: int
    """The largest charge."""


def _rules(code: str) -> Currency:
    if code in _NO_DECIMALS.split():
        exponent, multiple = 0, 1
    elif code in _THREE_DECIMALS.split():
        exponent, multiple = 3, 10
    else:
        exponent, multiple = 2, 100 if code in _WHOLE_UNITS_ONLY.split() else 1
    return Currency(
        code=code,
        exponent=exponent,
        multiple=multiple,
        minimum=_MINIMUM.get(code, multiple),
        maximum=_MAXIMUM.get(code, _MAXIMUM_OF_MOST),
    )


CURRENCIES: Final = {code: _rules(code) for code in _PRESENTMENT.split()}
"""Every currency that Stripe can charge, by its upper-case code."""
