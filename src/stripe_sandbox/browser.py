"""The two pages that a customer's browser sees: the bank's question, and the receipt."""

from collections.abc import Callable
from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from aiohttp import web

from stripe_sandbox import attempts
from stripe_sandbox.account import TIME, Account, Challenge
from stripe_sandbox.currencies import written
from stripe_sandbox.errors import RefusedError
from stripe_sandbox.pages import page


def _sum(account: Account, intent_id: str) -> str:
    intent = account.payment_intents[intent_id]
    return escape(written(intent["amount"], intent["currency"]).upper())


async def authenticate(request: web.BaseRequest, accounts: Callable[[], list[Account]]) -> web.Response:
    """Asks the cardholder (GET), or takes their answer (POST `outcome=approve` or `refuse`) and sends them back."""
    intent_id = request.path.rpartition("/")[2]
    secret = request.query.get("client_secret", "")
    for account in accounts():
        challenge = account.challenges.get(intent_id)
        if challenge is not None and challenge.client_secret == secret:
            break
    else:
        return page("Nothing to authenticate", "<p>This question was answered or withdrawn.", 404)
    if request.method == "GET":
        return page(
            "Your bank asks: is this you?",
            f"<p>A payment of <b>{_sum(account, intent_id)}</b> is waiting for your approval.<form method='post'>"
            "<button class='yes' name='outcome' value='approve'>Approve</button>"
            "<button name='outcome' value='refuse'>Refuse</button></form>",
        )
    outcome = dict(parse_qsl((await request.read()).decode(errors="replace"))).get("outcome")
    if outcome not in {"approve", "refuse"}:
        return page("Approve or refuse?", "<p>The form must say outcome=approve or outcome=refuse.", 400)
    paid = decide(account, challenge, approved=outcome == "approve")
    if challenge.return_url is None:
        return page("Thank you", f"<p>The payment {'goes on' if paid else 'failed'}. You can close this page.")
    return web.Response(status=303, headers={"Location": _return_address(account, challenge, paid=paid)})


def decide(account: Account, challenge: Challenge, *, approved: bool) -> bool:
    """Takes the cardholder's answer; whether the payment goes on."""
    if not approved:
        attempts.refuse(account, challenge, TIME)
        return False
    try:
        attempts.approve(account, challenge, TIME)
    except RefusedError:  # the issuer declined after all; the PaymentIntent says why
        return False
    return True


def _return_address(account: Account, challenge: Challenge, *, paid: bool) -> str:
    """Where the browser goes, with what Stripe adds to the address."""
    parts = urlsplit(challenge.return_url or "")
    intent = account.payment_intents[challenge.intent_id]
    added = urlencode(
        {
            "payment_intent": intent["id"],
            "payment_intent_client_secret": intent["client_secret"],
            "redirect_status": "succeeded" if paid else "failed",
        }
    )
    return urlunsplit(parts._replace(query=f"{parts.query}&{added}" if parts.query else added))


async def receipt(request: web.BaseRequest, accounts: Callable[[], list[Account]]) -> web.Response:
    """Shows what was paid."""
    identifier = request.path.rpartition("/")[2]
    for account in accounts():
        charge = account.charges.get(identifier)
        if charge is not None and charge["receipt_url"] is not None:
            taken = escape(written(charge["amount_captured"], charge["currency"]).upper())
            return page("Receipt", f"<p>{taken}<br><small>{escape(identifier)}, {escape(charge['status'])}</small>")
    return page("No such receipt", "<p>There is no charge with this id.", 404)
