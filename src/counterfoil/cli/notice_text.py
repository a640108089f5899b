"""How a notice, and what would come of it, look to a person."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from counterfoil.cli.payment_text import moment
from counterfoil.domain.money import Money

if TYPE_CHECKING:
    from rich.text import Text

_STYLES = {"kept": "yellow", "done": "green", "foreign": "dim", "parked": "bold red", "quarantined": "bold red"}


def state(word: str) -> "Text":
    """Return a state in its colour."""
    from rich.text import Text

    return Text(word, _STYLES.get(word, ""))


def row(notice: Mapping[str, Any]) -> list["str | Text"]:
    """Return a notice as cells: when it came, its id, its type, how it stands, its payment, and why."""
    return [
        moment(notice["received_at"]),
        notice["id"],
        notice.get("type", ""),
        state(notice["state"]),
        notice.get("payment_id") or "",
        _why(notice),
    ]


def fields(notice: Mapping[str, Any]) -> list[tuple[str, "str | Text"]]:
    """Return what `show` lists of a notice: names and values, without those that don't apply."""
    rows: list[tuple[str, str | Text]] = [("notice", notice["id"]), ("state", state(notice["state"]))]
    if _why(notice):
        rows.append(("why", _why(notice)))
    status = f"  {notice['payment_status']}" if notice.get("payment_status") else ""
    rows.extend(
        (label, text)
        for label, text in (
            ("type", notice.get("type", "")),
            ("object", notice.get("object_id") or ""),
            ("payment", f"{notice['payment_id']}{status}" if notice.get("payment_id") else ""),
            ("account", notice.get("account") or ""),
            ("mode", ("live" if notice["livemode"] else "test") if "livemode" in notice else ""),
            ("came", _came(notice.get("deliveries", 1))),
        )
        if text
    )
    rows.append(("received", moment(notice["received_at"])))
    rows.extend(
        (label, moment(notice[name]))
        for label, name in (("settled", "concluded_at"), ("read at", "next_try_at"))
        if notice.get(name)
    )
    rows.append(("body", "kept" if notice["body_kept"] else "has expired"))
    return rows


def body(notice: Mapping[str, Any]) -> str:
    """Return what a notice says, over lines; or why that is not shown."""
    if notice.get("body") is not None:
        return json.dumps(notice["body"], indent=2, ensure_ascii=False)
    if not notice["body_kept"]:
        return "What it said is not kept any more."
    return "What it says is shown to administrators only, and what is no event to nobody."


def rehearsal(answer: Mapping[str, Any]) -> list[tuple[str, "str | Text"]]:
    """Return what would come of a notice: names and values."""
    notice, would_be = answer["notice"], answer["would_be"]
    rows: list[tuple[str, str | Text]] = [
        ("notice", notice["id"]),
        ("type", notice["type"]),
        ("is", state(notice["state"])),
        ("would be", state(would_be["state"])),
    ]
    if would_be["reason"]:
        rows.append(("because", would_be["reason"]))
    if would_be["payment_id"]:
        rows.append(("payment", would_be["payment_id"]))
    rows.extend(_changes(answer) or [("changes", "nothing")])
    rows.extend(("fact", f"{fact['type']} #{fact['sequence']}") for fact in answer["facts"])
    rows.extend(("alarm", why) for why in answer["alarms"])
    return rows


def rehearsal_row(answer: Mapping[str, Any]) -> list["str | Text"]:
    """Return the same as cells."""
    notice, would_be = answer["notice"], answer["would_be"]
    changes = [f"{name} {change}" for name, change in _changes(answer)]
    facts = [f"{fact['type']} #{fact['sequence']}" for fact in answer["facts"]]
    return [
        notice["id"],
        notice["type"],
        state(notice["state"]),
        state(would_be["state"]),
        would_be["payment_id"] or "",
        "; ".join(changes + facts) or "nothing",
    ]


def _came(deliveries: int) -> str:
    if deliveries == 0:
        return "never: it was found by catching up"
    return f"{deliveries} times" if deliveries > 1 else ""


def _why(notice: Mapping[str, Any]) -> str:
    return notice["reason"] or ""


def _changes(answer: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return in what the payment would differ: each name with both values."""
    before, after = (_flat(answer[name] or {}) for name in ("before", "after"))
    return [
        (name, f"{before.get(name) or 'none'} → {after[name] or 'none'}")
        for name in after
        if after[name] != before.get(name)
    ]


def _flat(standing: Mapping[str, Any]) -> dict[str, str]:
    """Return a payment's standing as names and texts, in the order they are shown."""
    if not standing:
        return {}
    currency = standing["currency"]
    flat = {
        "status": standing["status"],
        "captured": Money(standing["amount_captured"], currency).format(),
        "refunded": Money(standing["amount_refunded"], currency).format(),
        "disputed": "yes" if standing["disputed"] else "no",
        "at Stripe": standing["payment_intent_id"] or "",
        "next check": moment(standing["next_check_at"]) if standing["next_check_at"] else "",
    }
    for one in standing["attempts"]:
        flat[f"attempt {one['number']}"] = " ".join(filter(None, [one["state"], one["charge_id"]]))
    return flat
