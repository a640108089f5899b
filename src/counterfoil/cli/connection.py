"""The way to the gateway: where it is, the token it wants, and what its refusals mean for a command."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from counterfoil.cli.exits import CommandFailed, Unreachable
from counterfoil.config import Settings
from counterfoil.runtime.secret import Secret

if TYPE_CHECKING:
    import httpx

CLIENT_FILE = "client.json"
"""What `counterfoil up` leaves in COUNTERFOIL_HOME: {"url": …, "token": …}, readable by its owner only."""

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 40.0
"""`POST /charge` answers within 35 s whatever the processor does; beyond that the answer was lost."""

_LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_NOT_FOUND, _FIRST_REFUSAL, _UNAUTHORIZED, _UNAVAILABLE = 404, 400, 401, 503
_TELLING_OF_A_PAYMENT = frozenset({200, 202, 402, 429})
"""A 429 only where it carries a payment: the customer was over the limit of attempts, and the payment has failed."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where the gateway is and the token to show it (None: none known)."""

    url: str
    token: Secret | None


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: Mapping[str, Any]


def may_use_proxy(url: str) -> bool:
    """Say whether a proxy that the environment names is the way to an address: it has no part in this machine."""
    return urlsplit(url).hostname not in _LOOPBACK_HOSTS


def gateway_of(settings: Settings) -> Gateway:
    """Return the gateway that the settings name, else the one that `counterfoil up` left in COUNTERFOIL_HOME.

    The file's token goes to the file's gateway only. Raises Unreachable when neither says where the gateway is.
    """
    left = left_by_up(settings.counterfoil_home)
    if settings.counterfoil_url is not None and (left is None or left.url != settings.counterfoil_url):
        return Gateway(settings.counterfoil_url, settings.counterfoil_token)
    if left is None:
        raise Unreachable(
            "no gateway is known here: run `counterfoil up` in another window, "
            "or set COUNTERFOIL_URL and COUNTERFOIL_TOKEN"
        )
    return Gateway(left.url, settings.counterfoil_token or left.token)


def write_client_file(home: Path, url: str, token: Secret) -> Path:
    """Leave the gateway's address and token for the commands of this user, and return the file."""
    path = home / CLIENT_FILE
    path.unlink(missing_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(json.dumps({"url": url, "token": token.reveal()}), "utf-8")
    return path


def left_by_up(home: Path) -> Gateway | None:
    """Return the gateway in the file that an earlier `counterfoil up` left; raises CommandFailed if it is damaged."""
    path = home / CLIENT_FILE
    try:
        left = json.loads(path.read_bytes())
        return Gateway(left["url"], Secret(left["token"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError):
        raise CommandFailed(f"{path} cannot be read: remove it, or run `counterfoil up` again") from None


class Connection:
    """An open way to one gateway; a context manager. Every method raises CommandFailed in words for a person."""

    def __init__(self, gateway: Gateway) -> None:
        import httpx

        headers = {"Accept": "application/json"}
        if gateway.token is not None:
            headers["Authorization"] = f"Bearer {gateway.token.reveal()}"
        self._url = gateway.url
        self._client = httpx.Client(
            base_url=gateway.url,
            headers=headers,
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            trust_env=may_use_proxy(gateway.url),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self._client.close()

    def get(self, path: str, parameters: Mapping[str, str | int] | None = None) -> Mapping[str, Any]:
        """Return the JSON object at a path. Raises Unreachable, or CommandFailed for any other refusal."""
        answer = self.find(path, parameters)
        if answer is None:
            raise CommandFailed("the gateway does not know this")
        return answer

    def find(self, path: str, parameters: Mapping[str, str | int] | None = None) -> Mapping[str, Any] | None:
        """Return as `get` does, or None when there is nothing at that path (404)."""
        import httpx

        try:
            response = self._client.get(path, params=dict(parameters or {}))
        except httpx.TransportError:
            raise self.unreachable() from None
        if response.status_code == _NOT_FOUND:
            return None
        return self._accepted(_answer(response)).body

    def put(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Replace what is at a path, which may be done twice, and return it. Raises as `get`."""
        import httpx

        try:
            response = self._client.put(path, json=body)
        except httpx.TransportError:
            raise self.unreachable() from None
        return self._accepted(_answer(response)).body

    def charge(self, order: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send an order to `POST /charge` and return its payment, failed ones among them.

        Raises Unreachable where nothing was sent or the answer was lost, and CommandFailed for a refused order.
        """
        ask = f"the same command with --order {order['order_id']} --event-id {order['event_id']}"
        return self._charged("/charge", order, if_lost=f"{ask} asks again and never charges twice")

    def charge_anew(self, payment_id: str, method: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send another method for a failed payment and return the payment, failed again or not; raises as `charge`."""
        path = f"/payments/{payment_id}/payment-method"
        return self._charged(path, method, if_lost=f"`counterfoil show {payment_id}` tells")

    def capture(self, payment_id: str, amount: int | None) -> Mapping[str, Any]:
        """Take so much of what a payment holds, None being all of it, and return the payment; raises as `charge`."""
        body = {} if amount is None else {"amount": amount}
        ask = "the same command asks again and never takes it twice"
        return self._charged(f"/payments/{payment_id}/capture", body, if_lost=ask)

    def cancel(self, payment_id: str) -> Mapping[str, Any]:
        """Cancel a payment and return it; raises as `charge`."""
        return self._charged(f"/payments/{payment_id}/cancel", {}, if_lost="the same command asks again")

    def review(self, payment_id: str, decision: Mapping[str, Any]) -> Mapping[str, Any]:
        """Decide on a payment that waits for a person, and return how it stands after that; raises as `charge`."""
        path = f"/payments/{payment_id}/review"
        return self._charged(path, decision, if_lost=f"`counterfoil show {payment_id}` tells")

    def post(
        self,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        if_lost: str,
        headers: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any]:
        """Post something and return what is answered.

        Raises Unreachable where nothing was sent or the answer was lost (``if_lost`` then says what to do about it),
        and CommandFailed for a refusal.
        """
        import httpx

        try:
            response = self._client.post(path, json=dict(body or {}), headers=dict(headers or {}))
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise self.unreachable() from None
        except httpx.TransportError:
            raise Unreachable(f"the answer of the gateway was lost; {if_lost}") from None
        return self._accepted(_answer(response)).body

    def _charged(self, path: str, body: Mapping[str, Any], *, if_lost: str) -> Mapping[str, Any]:
        import httpx

        try:
            response = self._client.post(path, json=body)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise self.unreachable() from None
        except httpx.TransportError:
            lost = "the answer of the gateway was lost, and the payment may have been taken"
            raise Unreachable(f"{lost}; {if_lost}") from None
        answer = _answer(response)
        if answer.status not in _TELLING_OF_A_PAYMENT or "payment_id" not in answer.body:
            self._accepted(answer)
        if isinstance(answer.body.get("status"), str):
            return answer.body
        return self.get(f"/payments/{answer.body['payment_id']}")  # a problem document: it only names the payment

    @contextmanager
    def streamed(self, path: str, parameters: Mapping[str, str | int]) -> "Iterator[httpx.Response]":
        """Open a `text/event-stream` for reading; raises httpx.TransportError where the connection fails."""
        with self._client.stream(
            "GET", path, params=dict(parameters), headers={"Accept": "text/event-stream"}
        ) as response:
            if response.status_code >= _FIRST_REFUSAL:
                response.read()
                self._accepted(_answer(response))
            yield response

    def _accepted(self, answer: _Answer) -> _Answer:
        if answer.status < _FIRST_REFUSAL:
            return answer
        if answer.status == _UNAUTHORIZED:
            raise CommandFailed(
                f"the gateway at {self._url} does not accept this token: set COUNTERFOIL_TOKEN "
                "(`counterfoil token create` makes one)"
            )
        why = ": ".join(str(answer.body[key]) for key in ("title", "detail") if answer.body.get(key))
        field = f" ({answer.body['field']})" if answer.body.get("field") else ""
        sentence = f"{why or 'the gateway refused'}{field} [{answer.status}]"
        raise Unreachable(sentence) if answer.status == _UNAVAILABLE else CommandFailed(sentence)

    def unreachable(self) -> Unreachable:
        """Return what a command ends with when nothing answers at the gateway's address."""
        return Unreachable(
            f"the gateway at {self._url} does not answer: start one with `counterfoil up`, or set COUNTERFOIL_URL"
        )


def _answer(response: "httpx.Response") -> _Answer:
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise CommandFailed(
            f"what answers at {response.request.url.host} is no gateway of ours [{response.status_code}]"
        )
    return _Answer(response.status_code, body)
