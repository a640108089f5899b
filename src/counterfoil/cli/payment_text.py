"""How a payment and its timeline look to a person."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from counterfoil.domain.money import Money

if TYPE_CHECKING:
    from rich.text import Text

_STYLES = {
    "succeeded": "bold green",
    "authorized": "green",
    "failed": "bold red",
    "canceled": "dim",
    "requires_action": "yellow",
    "in_doubt": "bold yellow",
}

_KIND_STYLES = {"fact": "bold", "request": "cyan", "notice": "magenta", "fee": "green"}

_REFUND_STYLES = {"processed": "bold green", "failed": "bold red"}

FINAL = frozenset({"succeeded", "failed", "canceled"})
"""Where `--watch` stops: nothing more is awaited of the payment."""


def money(payment: Mapping[str, Any], key: str = "amount") -> str:
    """Return an amount of a payment as a person writes it, `19.99 EUR`."""
    return Money(payment[key], payment["currency"]).format()


def status(payment: Mapping[str, Any]) -> "Text":
    """Return the status in its colour."""
    from rich.text import Text

    return Text(payment["status"], _STYLES.get(payment["status"], "cyan"))


def sentence(payment: Mapping[str, Any]) -> "Text":
    """Return one line that says what became of a payment, and why where it failed."""
    from rich.text import Text

    line = Text.assemble(status(payment), "  ", money(payment), "  ", (payment["payment_id"], "dim"))
    if payment["status"] == "succeeded" and payment.get("amount_captured", payment["amount"]) < payment["amount"]:
        line.append(f"  {money(payment, 'amount_captured')} of it taken")
    if payment.get("amount_to_capture"):
        line.append(f"  {money(payment, 'amount_to_capture')} of it is being taken")
    why = reason(payment)
    if why:
        line.append(f"  {why}")
    if payment.get("retry_at"):
        line.append(f"\nIt was declined, and the same method is charged again {moment(payment['retry_at'])}", "yellow")
    action = payment.get("action")
    if payment["status"] == "requires_action" and action:
        line.append(f"\nThe payer has to approve it: {action['url']}", "yellow")
    return line


def refund(one: Mapping[str, Any]) -> "Text":
    """Return one line that says how a refund stands, and why where it failed."""
    from rich.text import Text

    style = _REFUND_STYLES.get(one["status"], "cyan")
    line = Text.assemble((one["status"], style), "  ", money(one), "  ", (one["refund_id"], "dim"))
    if one.get("failure_reason"):
        line.append(f"  {one['failure_reason']}")
    return line


def reason(payment: Mapping[str, Any]) -> str:
    """Return why a payment failed, with the processor's own code; empty where there is no reason."""
    if not payment.get("reason"):
        return ""
    code = payment.get("decline_code")
    words = payment.get("failure_message") or payment["reason"]
    return f"{words} ({code})" if code else words


def fields(payment: Mapping[str, Any]) -> list[tuple[str, "str | Text"]]:
    """Return what `show` lists of a payment: names and values, without those that don't apply."""
    rows: list[tuple[str, str | Text]] = [
        ("payment", payment["payment_id"]),
        ("status", status(payment)),
        ("amount", money(payment)),
    ]
    rows.extend(
        (name, money(payment, f"amount_{name}"))
        for name in ("captured", "refunded", "disputed")
        if payment.get(f"amount_{name}")
    )
    if payment.get("fee") is not None:
        rows.append(("fee", Money(payment["fee"], payment["fee_currency"]).format()))
    if payment.get("net") is not None:
        sign = "-" if payment["net"] < 0 else ""
        rows.append(("net", sign + Money(abs(payment["net"]), payment["currency"]).format()))
    rows.extend(
        (label, str(payment[key]))
        for label, key in (
            ("order", "order_id"),
            ("event", "event_id"),
            ("customer", "customer_id"),
            ("method", "payment_method"),
            ("at Stripe", "payment_intent_id"),
        )
        if payment.get(key)
    )
    rows.extend(("refund", refund(one)) for one in payment.get("refunds", ()))
    if reason(payment):
        rows.append(("reason", reason(payment)))
        rows.append(("try again", "with another method" if payment.get("can_retry") else "no"))
    if payment["status"] == "requires_action" and payment.get("action"):
        rows.append(("to approve", payment["action"]["url"]))
    if payment.get("amount_to_capture"):
        rows.append(("to capture", money(payment, "amount_to_capture")))
    if payment.get("hold_ends_at"):
        rows.append(("held until", moment(payment["hold_ends_at"])))
    rows.extend(("dispute", _dispute(one)) for one in payment.get("disputes", ()))
    if payment.get("next_check_at"):
        rows.append(("next check", moment(payment["next_check_at"])))
    if payment.get("retry_at"):
        rows.append(("tried again", moment(payment["retry_at"])))
    rows.append(("created", moment(payment["created_at"])))
    return rows


def _dispute(dispute: Mapping[str, Any]) -> str:
    """Return a dispute in one line: how it stands, about how much, where the money is, why, and its id."""
    words = [dispute["status"], money(dispute), dispute["funds"], dispute["reason"] or "", dispute["dispute_id"]]
    if dispute.get("fee"):
        words.insert(3, f"for a fee of {Money(dispute['fee'], dispute['fee_currency']).format()}")
    return "  ".join(word for word in words if word)


def explanation(payment: Mapping[str, Any], explained: Mapping[str, Any]) -> "list[Text]":
    """Return the lines that explain a payment: how it stands, what is known, what is not, what is ahead."""
    from rich.text import Text

    lines = [Text.assemble(money(payment), " is ", status(explained))]
    for title, sentences in (
        ("What is known", explained["known"]),
        ("What is not known", explained["unknown"] or ["Nothing is left open."]),
        ("What happens next", [_ahead(one) for one in explained["ahead"]]),
    ):
        lines += [Text(f"\n{title}", "bold"), *(Text(f"  {sentence}") for sentence in sentences)]
    return lines


def _ahead(one: Mapping[str, Any]) -> str:
    return one["what"] if one["at"] is None else f"{moment(one['at'])}  {one['what']}"


def timeline_row(entry: Mapping[str, Any]) -> list["str | Text"]:
    """Return one entry of a timeline as cells: when, what kind, its name, and what it says."""
    from rich.text import Text

    name = f"{entry['name']} #{entry['sequence']}" if entry["kind"] == "fact" else entry["name"]
    kind = Text(entry["kind"], _KIND_STYLES.get(entry["kind"], ""))
    return [time_of_day(entry["at"]), kind, name, details(entry.get("details") or {})]


_EFFECT_STYLES = {"done": "green", "parked": "bold red", "waiting": "yellow"}


def effect_row(effect: Mapping[str, Any]) -> list["str | Text"]:
    """Return what followed from a payment's end as cells: since when, what, how it stands, and why."""
    from rich.text import Text

    state = Text(effect["state"], _EFFECT_STYLES.get(effect["state"], "dim"))
    again = f"again at {time_of_day(effect['next_try_at'])}" if effect["tries"] and effect["next_try_at"] else ""
    return [
        time_of_day(effect["created_at"]),
        effect["kind"],
        state,
        "; ".join(filter(None, [effect["reason"], again])),
    ]


def details(values: Mapping[str, Any]) -> str:
    """Return details as `name=value` with the empty ones left out."""
    return "  ".join(f"{name}={_said(value)}" for name, value in values.items() if value not in (None, "", {}, []))


def _said(value: object) -> str:
    """Return a value as it reads within a line: a list with commas, an object as its values."""
    if isinstance(value, list):
        return ", ".join(map(_said, value))
    return " ".join(map(_said, value.values())) if isinstance(value, dict) else str(value)


def moment(iso: str) -> str:
    """Return an ISO 8601 time as date and time of this machine's zone."""
    return datetime.fromisoformat(iso).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def time_of_day(iso: str) -> str:
    """Return the time of day, to the millisecond, of an ISO 8601 time in this machine's zone."""
    return datetime.fromisoformat(iso).astimezone().strftime("%H:%M:%S.%f")[:-3]
