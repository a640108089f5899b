"""The idempotency layer, as https://docs.stripe.com/api/idempotent_requests and /error-low-level describe it."""

from dataclasses import dataclass
from typing import Any, Final

from stripe_sandbox.clock import Clock
from stripe_sandbox.errors import IDEMPOTENCY_ERROR, InvalidError, RefusedError
from stripe_sandbox.kept import Kept

KEY_LIFE_SECONDS: Final = 86_400
"""Stripe may forget a key from 24 hours on; the sandbox always does, so that nobody relies on more."""

KEY_LENGTH: Final = 255


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer, kept byte for byte."""

    status: int
    body: bytes
    request_id: str


@dataclass(frozen=True, slots=True)
class _Entry:
    path: str
    parameters: dict[str, Any]
    expires_at: float
    answer: Answer | None = None


def in_use(key: str) -> RefusedError:
    """Says that the key's first request is not finished."""
    return RefusedError(
        409,
        f"Another request with the key '{key}' is in progress; try again in a moment.",
        kind=IDEMPOTENCY_ERROR,
        code="idempotency_key_in_use",
    )


def _told(entry: _Entry) -> Any:
    assert entry.answer is not None
    answer = [entry.answer.status, entry.answer.body.decode(), entry.answer.request_id]
    return {"path": entry.path, "parameters": entry.parameters, "expires_at": entry.expires_at, "answer": answer}


def _heard(told: Any) -> _Entry:
    status, body, request_id = told["answer"]
    return _Entry(told["path"], told["parameters"], told["expires_at"], Answer(status, body.encode(), request_id))


class IdempotencyKeys:
    """Keys of one mode, each with the first request's parameters and, once it is finished, its answer."""

    __slots__ = ("_clock", "_running", "finished")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._running: dict[str, _Entry] = {}
        self.finished: Kept[_Entry] = Kept(_told, _heard)
        """Only these are worth writing down: what was under way when a process died was never answered."""

    def begin(self, key: str, path: str, parameters: dict[str, Any]) -> Answer | None:
        """Takes a key for a request, or gives the answer that was kept under it.

        Raises:
            RefusedError: the key served another request (400), or one that is not finished (409).
        """
        if len(key) > KEY_LENGTH:
            raise InvalidError(
                f"An idempotency key can have up to {KEY_LENGTH} characters, and this one has {len(key)}."
            )
        self._prune()
        entry = self._running.get(key) or self.finished.get(key)
        if entry is not None and entry.expires_at <= self._clock.now():
            entry = None
        if entry is None:
            self._running[key] = _Entry(path, parameters, self._clock.now() + KEY_LIFE_SECONDS)
            return None
        if entry.path != path:
            raise RefusedError(
                400,
                f"Keys for idempotent requests can only be used for the same endpoint they were first used for "
                f"('{path}' vs '{entry.path}'). Use another key than '{key}' for a different request.",
                kind=IDEMPOTENCY_ERROR,
            )
        if entry.parameters != parameters:
            raise RefusedError(
                400,
                "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                f"Use another key than '{key}' for a different request.",
                kind=IDEMPOTENCY_ERROR,
            )
        if entry.answer is None:
            raise in_use(key)
        return entry.answer

    def finish(self, key: str, answer: Answer) -> None:
        """Keeps the answer of the request that holds the key; after a reset there is nothing to keep it in."""
        entry = self._running.pop(key, None)
        if entry is not None:
            self.finished[key] = _Entry(entry.path, entry.parameters, entry.expires_at, answer)

    def release(self, key: str) -> None:
        """Gives a key back, because nothing was executed."""
        self._running.pop(key, None)

    def _prune(self) -> None:
        now = self._clock.now()
        while self.finished:  # nearly oldest first: a held request may finish long after it began
            key = next(iter(self.finished))
            if self.finished[key].expires_at > now:
                return
            del self.finished[key]
