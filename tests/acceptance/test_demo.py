import re
import signal
import subprocess
from pathlib import Path

import asyncpg
from tests.acceptance.conftest import command

from counterfoil.runtime.clock import SystemClock
from counterfoil.store import embedded
from counterfoil.store.migrate import migrate

FALSIFY = """
CREATE FUNCTION falsify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.amount_captured := NEW.amount - 1;
    RETURN NEW;
END $$;
CREATE TRIGGER falsified BEFORE UPDATE ON payments
    FOR EACH ROW WHEN (NEW.amount_captured = NEW.amount) EXECUTE FUNCTION falsify();
"""

STEPS = [
    (
        r"you → gateway +POST /charge +order-\w+ +pm_card_visa\n",
        r"Stripe → gateway +200 +to POST /v1/payment_intents\n",
        r"on record +PaymentSucceeded #2 +cause: \w+\n",
        r"Stripe → receiver +payment_intent\.succeeded: signed, kept, read\n",
        r"gateway → you +200 +succeeded\n",
        r"published +position 2: PaymentSucceeded\n",
    ),
    (
        r"Stripe → gateway +402 +card_declined +to POST /v1/payment_intents\n",
        r"gateway → you +402 +failed +Your card was declined\. \(generic_decline\)\n",
        r"Stripe → receiver +payment_intent\.payment_failed: signed, kept, read\n",
        r"published +position 4: PaymentFailed\n",
    ),
    (
        r"gateway → you +202 +requires_action\n(?s:.+)customer → bank +approves at http://127\.0\.0\.1:\d+/\S+\n",
        r"customer → bank(?s:.+)on record +PaymentSucceeded #3 +cause: notice\n",
        r"published +position 7: PaymentSucceeded\n",
    ),
    (
        r"gateway → you +202 +processing\n(?s:.+)demo → sandbox +its clock moves on: 3 days pass at the bank\n",
        r"demo → sandbox(?s:.+)on record +PaymentSucceeded #3 +cause: notice\n",
        r"published +position 10: PaymentSucceeded\n",
    ),
    (
        r"Stripe → nobody +200 +to POST /v1/payment_intents: lost\n(?s:.+)gateway → you +202 +processing\n",
        r"Stripe → nobody +payment_intent\.succeeded: never delivered\n",
        r"Stripe → nobody +charge\.succeeded: never delivered\n",
        r"gateway → you(?s:.+)worker → Stripe +the same request again +key demo-\w+\n",
        r"Stripe → worker +200 +Idempotent-Replayed +to POST /v1/payment_intents\n",
        r"Stripe → worker(?s:.+)on record +PaymentSucceeded #2 +cause: answer\n",
        r"published +position 12: PaymentSucceeded\n",
    ),
]
"""What is told of each payment, whatever else there is between."""


def demo(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("demo", *arguments), env=environment, capture_output=True, text=True, timeout=180, check=False
    )


def test_pitfall_30_the_demo_shows_five_payments_and_both_sides_agree(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """On a machine with nothing set up, and with real keys lying about, five payments are told from end to end."""
    lying_about = {"STRIPE_KEY": "sk_live_51NotARealKey", "DATABASE_URL": "postgresql://127.0.0.1:1/production"}
    done = demo(environment | lying_about | {"TMPDIR": str(tmp_path)})
    assert (done.returncode, done.stderr) == (0, "")
    acts = re.split(r"^\d  .+: [\d.]+ EUR\n", done.stdout, flags=re.MULTILINE)[1:]
    for act, steps in zip(acts, STEPS, strict=True):
        assert [step for step in steps if not re.search(step, act)] == []
    assert re.search(
        r"Payment 5 was sent twice and charged once: the same bytes under the key demo-\w+, \w+\.\n", done.stdout
    )
    assert "Both sides agree on all 5 payments.\n" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_demo_leaves_nothing_behind(environment: dict[str, str], tmp_path: Path) -> None:
    """Ctrl-C in the middle of the start ends with 130, and no process and no file of it remains."""
    with subprocess.Popen(
        command("demo"), env=environment | {"TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        while "Starting gateway" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        code = process.wait(60)
    assert (code, list(tmp_path.iterdir())) == (130, [])


async def test_the_demo_finds_a_row_that_lies(environment: dict[str, str], home: Path) -> None:
    """When a row of ours says another amount than Stripe holds, the demo names the difference and exits 1."""
    async with embedded.server(home) as server:
        database = await asyncpg.connect(server.url)
        await migrate(database, SystemClock().now().date())
        await database.execute(FALSIFY)
        await database.close()
    done = demo(environment, "--home", str(home))
    assert done.returncode == 1
    assert re.search(r"differs +[\w-]+: amount_captured is 1998 in our rows and 1999 at Stripe\n", done.stdout)
    assert re.search(r"differs +[\w-]+: amount_captured is 1998 in our API and 1999 at Stripe\n", done.stdout)
    assert "agree on" not in done.stdout
