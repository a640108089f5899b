import json
from typing import Any

import pytest

from counterfoil.domain.errors import InvalidRequest
from counterfoil.domain.screening import Check, Finding, Screening
from counterfoil.domain.verdict import Cause, Source
from counterfoil.messages.decoding import decode
from counterfoil.messages.fraud_check_completed import UNNAMED, FraudCheckCompleted

LEAST = {"payment_id": "0190a8c2-7f00-7000-8000-000000000001", "decision": "APPROVED"}
WHOLE = {
    **LEAST,
    "decision": "MANUAL_REVIEW",
    "transaction_id": "check-17",
    "risk_score": 61.5,
    "reasons": ["new device", "far from home"],
    "signals": [{"name": "velocity", "weight": 0.4}, {"name": "device", "weight": -1}],
    "confidence": 0.8,
    "metadata": {"model": "m-7", "rules": 4, "shadow": False, "cluster": None},
    "timestamp": "2026-11-21T09:00:00Z",
}


def read(**fields: Any) -> FraudCheckCompleted:
    return decode(json.dumps(LEAST | fields).encode(), FraudCheckCompleted)


def test_a_check_is_read_whole_and_at_its_least() -> None:
    """Every field of the contract is taken, and only two of them are required."""
    assert json.loads(decode(json.dumps(WHOLE).encode(), FraudCheckCompleted).model_dump_json()) == WHOLE
    check = read().check(Screening())
    assert check == Check(read().payment_id, Finding.APPROVED, Cause(Source.FRAUD_CHECK, UNNAMED))


def test_a_check_says_by_which_id_and_at_what_risk() -> None:
    """Both are kept; what it comes to is decided by the rules of whoever hears it."""
    check = decode(json.dumps(WHOLE).encode(), FraudCheckCompleted).check(Screening(auto_block=61))
    assert (check.finding, check.cause.reference, check.risk_score) == (Finding.DECLINED, "check-17", 61.5)


@pytest.mark.parametrize("score", [-0.5, 100.01, "61", True])
def test_a_score_that_is_none_is_refused(score: Any) -> None:
    """Out of 0 to 100, or no number: nothing is coerced."""
    with pytest.raises(InvalidRequest) as refusal:
        read(risk_score=score)
    assert refusal.value.field == "risk_score"
