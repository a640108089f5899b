"""Which currencies can be charged, and between which amounts, in minor units.

Source: https://docs.stripe.com/currencies (presentment currencies, zero-decimal and special cases, minimum and
maximum charge amounts). Minimums are those of a settlement account in the same currency; for a currency without
one Stripe converts, which the sandbox, having no rates, answers with the smallest unit.
"""

from typing import Final

from stripe_sandbox.errors import InvalidError

ZERO_DECIMAL: Final = frozenset(
    {
        "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof",
        "xpf",
    }
)  # fmt: skip
"""Charged in whole units. UGX is listed by Stripe among them and yet takes two decimals: a special case below."""

THREE_DECIMAL: Final = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])
"""Charged in thousandths, rounded to tens."""

WHOLE_HUNDREDS: Final = frozenset({"isk", "ugx"})
"""Written with two decimals that must be zero."""

TWO_DECIMAL: Final = frozenset(
    {
        "usd", "aed", "afn", "all", "amd", "ang", "aoa", "ars", "aud", "awg", "azn", "bam", "bbd", "bdt",
        "bgn", "bmd", "bnd", "bob", "brl", "bsd", "bwp", "byn", "bzd", "cad", "cdf", "chf", "cny", "cop",
        "crc", "cve", "czk", "dkk", "dop", "dzd", "egp", "etb", "eur", "fjd", "fkp", "gbp", "gel", "gip",
        "gmd", "gtq", "gyd", "hkd", "hnl", "htg", "huf", "idr", "ils", "inr", "isk", "jmd", "kes", "kgs",
        "khr", "kyd", "kzt", "lak", "lbp", "lkr", "lrd", "lsl", "mad", "mdl", "mkd", "mmk", "mnt", "mop",
        "mur", "mvr", "mwk", "mxn", "myr", "mzn", "nad", "ngn", "nio", "nok", "npr", "nzd", "pab", "pen",
        "pgk", "php", "pkr", "pln", "qar", "ron", "rsd", "rub", "sar", "sbd", "scr", "sek", "sgd", "shp",
        "sle", "sos", "srd", "std", "szl", "thb", "tjs", "top", "try", "ttd", "twd", "tzs", "uah", "ugx",
        "uyu", "uzs", "wst", "xcd", "yer", "zar", "zmw",
    }
)  # fmt: skip

SUPPORTED: Final = ZERO_DECIMAL | THREE_DECIMAL | TWO_DECIMAL

MINIMUMS: Final = {
    "usd": 50, "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250,
    "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200, "nok": 300,
    "nzd": 50, "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000,
}  # fmt: skip

USUAL_MAXIMUM: Final = 99_999_999
"""Eight digits."""

MAXIMUMS: Final = {
    "idr": 999_999_999_999, "inr": 999_999_999, "lbp": 99_999_999_999_999, "cop": 9_999_999_999_999,
    "huf": 9_999_999_999_999, "jpy": 9_999_999_999_999,
}  # fmt: skip


def known(currency: str) -> str:
    """The code in lower case.

    Raises:
        InvalidError: Stripe does not charge in it.
    """
    lowered = currency.lower()
    if lowered not in SUPPORTED:
        raise InvalidError(
            f"Invalid currency: {lowered[:12]}. Stripe currently supports these currencies: "
            f"{', '.join(sorted(SUPPORTED))}",
            "currency",
        )
    return lowered


def check_amount(amount: int, currency: str, param: str = "amount") -> None:
    """Lets an amount in minor units pass, or says which bound it breaks.

    Raises:
        InvalidError: `amount_too_small`, `amount_too_large`, or a fraction that the currency does not have.
    """
    least = MINIMUMS.get(currency, 1)
    if amount < least:
        raise InvalidError(f"Amount must be at least {written(least, currency)}", param, "amount_too_small")
    most = MAXIMUMS.get(currency, USUAL_MAXIMUM)
    if amount > most:
        raise InvalidError(f"Amount must be no more than {written(most, currency)}", param, "amount_too_large")
    step = 10 if currency in THREE_DECIMAL else 100 if currency in WHOLE_HUNDREDS else 1
    if amount % step:
        raise InvalidError(
            f"Amounts in {currency.upper()} must be a multiple of {step}.", param, "parameter_invalid_integer"
        )


def written(amount: int, currency: str) -> str:
    """An amount for people, such as `0.50 usd`."""
    digits = 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2
    whole, fraction = divmod(amount, 10**digits)
    return f"{whole:,}.{fraction:0{digits}d} {currency}" if digits else f"{whole:,} {currency}"
