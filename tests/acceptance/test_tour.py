"""One tour, as a person starts it, and what can be said about it afterwards."""

import json
import re
import subprocess
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.conftest import command

from counterfoil.cli.tour.playing import CHAPTERS

PATIENCE_SECONDS = 300.0

MONEY = {
    1: (2000, 0, 0),
    2: (1200, 0, 0),
    3: (0, 0, 0),
    4: (3200, 3200, 0),
    5: (0, 0, 0),
    6: (0, 0, 0),
    7: (0, 0, 0),
    8: (12000, 12000, 0),
    9: (0, 0, 0),
    10: (2400, 0, 0),
    11: (1500, 1500, 0),
    12: (3000, 3000, 0),
    13: (1800, 1800, 0),
    14: (2600, 0, 0),
    15: (4400, 1100, 0),
    16: (4200, 0, 0),
    17: (0, 0, 0),
    18: (10000, 0, 0),
    19: (5500, 0, 0),
    20: (5600, 0, 5600),
    21: (7700, 0, 7700),
    22: (8000, 0, 0),
    23: (0, 0, 0),
    24: (25000, 0, 0),
    25: (7000, 0, 0),
    26: (0, 0, 0),
    27: (0, 0, 0),
    28: (1600, 1600, 0),
    29: (0, 0, 0),
    30: (1200, 0, 0),
    31: (0, 0, 0),
}
"""What is captured, refunded and disputed at the end of each scene."""

TOLD = (
    r"you → gateway +POST /payments/…/capture +12\.00 EUR\n",
    r"gateway → you +422 +order-has-payment\n",
    r"Stripe → worker +200 +to POST /v1/payment_intents/pi_\w+/cancel\n",
    r"tour → sandbox +its clock moves on: 4 days pass at the bank\n",
    r"on record +PaymentAttemptFailed #2 +cause: answer\n",
    r"on record +tried again at \d\d:\d\d:\d\d, longer than a tour lasts\n",
    r"Stripe → gateway +200 +to POST /v1/payment_intents/pi_\w+/confirm\n",
    r"gateway → you +422 +amount-refused +amount_too_large\n",
    r"on record +RefundFailed #5 +cause: look-up\n",
    r"you → Stripe +in the dashboard, gives 11\.00 EUR back\n",
    r"published +position \d+: InventoryAdjustmentRequested\n",
    r"worker → customer by SMTP to kim@shop\.example: Reçu de la commande order-\w+ : 42\.00 EUR\n",
    r"worker → customer by SMTP to kim@shop\.example: Your payment for order order-\w+ did not go through\n",
    r"on record +the fee is known: 3\.20 EUR\n",
    r"Stripe → receiver +charge\.dispute\.funds_reinstated: signed, kept, read\n",
    r"Starting gateway anew with FRAUD_SCREENING=before_charge …\n",
    r"on record +fraud check declined +risk 71\n",
    r"Starting gateway anew with FRAUD_SCREENING=before_capture …\n",
    r"worker → Stripe +POST /v1/payment_intents/pi_\w+/capture +key tour-\w+:capture:1\n",
    r"Starting gateway, worker anew with FRAUD_SCREENING=none +STRIPE_DRIVER=charges ",
    r"gateway → Stripe +POST /v1/charges/ch_\w+/capture +key order-\w+:capture:1\n",
)
"""Something of each kind, in the order in which it is told."""


@dataclass(frozen=True, slots=True)
class Toured:
    """A tour that is over: its exit code, what it told, its summary, and what it left in the folder it was given."""

    code: int
    told: str
    summary: Mapping[str, Any]
    left: list[Path]


@pytest.fixture(scope="module")
def toured(tmp_path_factory: pytest.TempPathFactory) -> Toured:
    """The one tour, on a machine with nothing set up and with real keys lying about."""
    folder = tmp_path_factory.mktemp("toured")
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", "TMPDIR": str(folder)}
    lying_about = {"STRIPE_KEY": "sk_live_51NotARealKey", "DATABASE_URL": "postgresql://127.0.0.1:1/production"}
    done = subprocess.run(
        command("tour", "--json"),
        env=environment | lying_about,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return Toured(done.returncode, done.stderr, json.loads(done.stdout), list(folder.iterdir()))


def test_the_tour_ends_well_and_leaves_nothing(toured: Toured) -> None:
    """It exits with 0, nothing differs, and its home is gone."""
    assert (toured.code, toured.summary["differences"], toured.left) == (0, [], [])
    assert "All 31 scenes ended as they were meant to.\n" in toured.told
    assert "Both sides agree on all 31 payments and 10 refunds.\n" in toured.told


def test_every_scene_is_told_and_ended_as_it_was_meant_to(toured: Toured) -> None:
    """In the order of the chapters, each under its number."""
    scenes = [scene for chapter in CHAPTERS for scene in chapter.scenes]
    heads = re.findall(r"^(\d+)  (.+): [\d.]+ EUR$", toured.told, re.MULTILINE)
    assert heads == [(str(number), scene.title) for number, scene in enumerate(scenes, start=1)]
    assert re.findall(r"^Chapter \d+: (.+)$", toured.told, re.MULTILINE) == [chapter.title for chapter in CHAPTERS]
    astray = [(one["title"], one["why"]) for one in toured.summary["scenes"] if not one["ended_as_meant"]]
    assert astray == []


def test_the_steps_of_the_scenes_are_told(toured: Toured) -> None:
    """From a hold that is taken in part to the older API; each of these comes after the one before."""
    position = 0
    for step in TOLD:
        found = re.compile(step).search(toured.told, position)
        assert found, step
        position = found.end()


def test_the_money_of_every_scene_is_where_it_belongs(toured: Toured) -> None:
    """Captured, refunded and disputed, as Stripe has it; what was never sent, it has never heard of."""
    stripe = {one["payment_id"]: one["stripe"] for one in toured.summary["payments"]}
    nothing = {"captured": 0, "refunded": 0, "disputed": 0}
    found = {
        one["number"]: [stripe[payment] or nothing for payment in one["payments"]] for one in toured.summary["scenes"]
    }
    amounts = {number: (entry["captured"], entry["refunded"], entry["disputed"]) for number, (entry,) in found.items()}
    assert amounts == MONEY


def test_both_sides_have_the_same_of_everything(toured: Toured) -> None:
    """Each payment that was sent, with its fee where it was paid, and each refund; two were never sent."""
    apart = [one for one in toured.summary["payments"] if one["ours"] != one["stripe"]]
    assert [(one["ours"]["outcome"], one["stripe"]) for one in apart] == [("never sent", None)] * 2
    paid = [one["ours"] for one in toured.summary["payments"] if one["ours"]["captured"]]
    assert [one["fee"] for one in paid if one["fee"] is None or one["charges"] != 1] == []
    refunds = toured.summary["refunds"]
    assert [one for one in refunds if one["ours"] != one["stripe"]] == []
    assert Counter(one["stripe"]["status"] for one in refunds) == {"processed": 9, "failed": 1}
