"""`counterfoil step-functions demo`: four payments driven by a machine, its history beside each payment's timeline."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from counterfoil import config
from counterfoil.cli import terminal
from counterfoil.cli.acts import AT_THE_BANK
from counterfoil.cli.comparison import differences, from_api, from_stripe
from counterfoil.cli.exits import CommandFailed
from counterfoil.cli.family import Member
from counterfoil.cli.fresh_home import shown_installation
from counterfoil.cli.ports import Ports
from counterfoil.cli.sides import BothSides
from counterfoil.domain.errors import Misconfigured, NotFound
from counterfoil.domain.money import Money
from counterfoil.runtime.clock import SystemClock
from counterfoil.runtime.ids import Ids, TimeOrderedIds
from counterfoil.workflow import account, deploying, executions, local
from counterfoil.workflow.account import Account
from counterfoil.workflow.resources import Names

if TYPE_CHECKING:
    from counterfoil.cli.installation import Installation
    from counterfoil.workflow.executions import Step

PATIENCE_SECONDS: Final = 45.0
"""An execution takes as long as its payment, and that a second or two; the demo must say so where it does not."""

TIMEOUTS: Final = {"payment_seconds": 60, "heartbeat_seconds": 20, "effect_seconds": 40, "retry_seconds": 2}
"""The machine lives by the clock of this machine: what takes minutes and days elsewhere takes seconds here."""

_LOOK_SECONDS: Final = 0.2
_TOLD: Final = ("StateEntered", "TaskSubmitted", "TaskFailed", "TaskTimedOut", "ExecutionSucceeded", "ExecutionFailed")
_PAID: Final = {"receipt", "inventory", "record"}


@dataclass(frozen=True, slots=True)
class Stage:
    """What a scene is played with; `machine` is the ARN of the machine."""

    sides: BothSides
    at_aws: Account
    machine: str
    ids: Ids


@dataclass(frozen=True, slots=True)
class Scene:
    """One payment: what its input is, how both have to end, and what happens beside it, when and in words."""

    title: str
    money: Money
    payment: str
    execution: str
    given: Callable[[Stage], Awaitable[Mapping[str, Any]]]
    meanwhile: Callable[[Stage, str], Awaitable[tuple[datetime, str]]] | None = None


async def played(home: Path | None, port_base: int | None) -> list[str]:
    """Play every scene on an installation of its own; return what does not agree, none where all does.

    Raises:
        Misconfigured: moto, which stands for AWS here, is not installed.
        CommandFailed: something did not start, or did not come to an end.
    """
    from importlib.util import find_spec

    if find_spec("moto") is None:
        raise Misconfigured("moto", "is not installed, and stands for AWS here: make demo-step-functions")
    title = "Counterfoil: four payments that a machine of Step Functions drives"
    clock = SystemClock()
    async with shown_installation(home, port_base, "step-functions", title) as here:
        access = await _beside_aws(here)
        with account.opened(access) as at_aws:
            made = await _driven(here, at_aws, access)
            async with BothSides(here, clock) as sides:
                stage = Stage(sides, at_aws, made.machine_arn, TimeOrderedIds(clock))
                found = [line for scene in SCENES for line in await _shown(stage, scene)]
                return _judged(found + await _both_sides(sides))


async def _beside_aws(here: "Installation") -> Mapping[str, str]:
    """Start a Step Functions and an SQS; return the settings that lead there."""
    port = Ports.free_one()
    here.plan.say("Starting Step Functions and SQS (moto) …")
    member = Member(
        name="aws",
        command=local.command(port),
        environment=config.environment_of_child(local.surroundings(port)),
        health_url=local.health_url(port),
        log=here.plan.log("aws"),
        irreplaceable=True,
    )
    await here.kept.start(member)
    await asyncio.to_thread(local.switch_on, port)
    return local.access(port)


async def _driven(here: "Installation", at_aws: Account, access: Mapping[str, str]) -> deploying.Deployment:
    """Deploy the machine, and start the worker anew with its queue."""
    made = await asyncio.to_thread(deploying.deploy, at_aws, Names())
    queue = {**access, "STEP_FUNCTIONS_QUEUE_URL": made.queue_url}
    await here.set_anew([config.Role.WORKER], queue)
    here.plan.say(f"Deployed {made.machine_arn}; the worker takes its tasks off {made.queue_url}\n")
    return made


async def _shown(stage: Stage, scene: Scene) -> list[str]:
    """Play a scene and show it; return what is not as it was to be."""
    screen = terminal.console()
    number = SCENES.index(scene) + 1
    screen.print(f"{number}  {scene.title}: {scene.money.format()}", style="bold")
    event_id = f"demo-{stage.ids.new().hex[-12:]}"
    given = {
        "event_id": event_id,
        "order_id": f"order-{stage.ids.new().hex[-12:]}",
        "amount": scene.money.amount,
        "currency": scene.money.currency,
        "customer": {"email": "customer@shop.example"},
        "items": [{"sku": "shirt-m", "quantity": 1}],
        "timeouts": TIMEOUTS,
        **await scene.given(stage),
    }
    started = await asyncio.to_thread(executions.start, stage.at_aws, stage.machine, given)
    beside = [] if scene.meanwhile is None else [await scene.meanwhile(stage, given["order_id"])]
    ended = await _ended(stage, started.arn)
    payment = await _payment(stage, given["order_id"], lambda payment: payment["status"] == scene.payment)
    steps = await asyncio.to_thread(lambda: [step for step, _ in executions.history(stage.at_aws, started.arn)])
    _print_together(steps, await stage.sides.timeline(payment["payment_id"]), beside)
    effects = await stage.sides.effects(payment["payment_id"])
    screen.print(f"  the machine: {_end_of(ended)}   the payment: {payment['status']}\n", style="bold")
    return [f"{number}: {line}" for line in amiss(scene, ended, payment, effects)]


async def _ended(stage: Stage, arn: str) -> dict[str, Any]:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                found = await asyncio.to_thread(executions.status, stage.at_aws, arn)
                if found["status"] != "RUNNING":
                    return found
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        raise CommandFailed(f"{arn} did not end within {PATIENCE_SECONDS:.0f} s") from None


async def _payment(stage: Stage, order_id: str, is_there: Callable[[Mapping[str, Any]], bool]) -> Mapping[str, Any]:
    """Return the payment of an order once it is as it should be, or as it is when time is over."""
    found: Mapping[str, Any] | None = None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while found is None or not is_there(found):
                found = await stage.sides.payment_of(order_id)
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        if found is None:
            raise CommandFailed(f"order {order_id} has no payment") from None
    if found is None:
        raise NotFound("payment")
    return found


def _print_together(
    steps: Sequence["Step"], timeline: Sequence[Mapping[str, Any]], beside: Sequence[tuple[datetime, str]]
) -> None:
    """Print both in the order of time, the machine on the left and the payment on the right."""
    rows = [(one.at, one.type, _state(one), "") for one in steps if one.type.endswith(_TOLD)]
    rows += [(datetime.fromisoformat(entry["at"]), "", "", _entry(entry)) for entry in timeline]
    rows += [(at, "", "", what) for at, what in beside]
    rows.sort(key=lambda row: row[0])
    columns = ["  at", "the machine", "state", "the payment"]
    terminal.print_table(columns, [[f"  {_clock(at)}", *cells] for at, *cells in rows])


def _clock(at: datetime) -> str:
    return at.astimezone().strftime("%H:%M:%S.%f")[:-3]


def _state(step: "Step") -> str:
    """Return which state it is, and the name of what went wrong there; the causes are long."""
    error = (step.detail or "").partition(":")[0]
    return " ".join(filter(None, [step.state, error]))


def _entry(entry: Mapping[str, Any]) -> str:
    details = entry.get("details") or {}
    more = {"task": "outcome", "notice": "state"}.get(entry["kind"], "")
    return " ".join(filter(None, [entry["kind"], entry["name"], str(details.get(more) or "")]))


def _end_of(ended: Mapping[str, Any]) -> str:
    return " ".join(filter(None, [ended["status"], ended["error"]]))


def amiss(
    scene: Scene, ended: Mapping[str, Any], payment: Mapping[str, Any], effects: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Return in what the execution and the payment are not one, or not as the scene wants them."""
    found = []
    if _end_of(ended) != scene.execution:
        found.append(f"the execution ended {_end_of(ended)}, and was to end {scene.execution}")
    if payment["status"] != scene.payment:
        found.append(f"the payment is {payment['status']}, and was to be {scene.payment}")
    told = ended["output"]["payment"] if ended["status"] == "SUCCEEDED" else ended["cause"]
    if isinstance(told, Mapping) and told["payment_id"] != payment["payment_id"]:
        found.append(f"the machine speaks of payment {told['payment_id']}, and the order has {payment['payment_id']}")
    if ended["status"] == "SUCCEEDED" and set(ended["output"]["effects"]) != _PAID:
        found.append("the machine did not see to all that follows")
    found += [f"{one['kind']} is {one['state']}" for one in effects if one["state"] not in ("done", "skipped")]
    return found


async def _both_sides(sides: BothSides) -> list[str]:
    """Return in what our payments and those at Stripe differ."""
    charges = await sides.stripe_list("charges")
    intents = await sides.stripe_list("payment_intents")
    theirs = [(intent["metadata"]["payment_id"], from_stripe(intent, charges)) for intent in intents]
    ours = {payment["payment_id"]: from_api(payment) for payment in await sides.payments()}
    return differences(ours, theirs, "our API")


def _judged(found: list[str]) -> list[str]:
    screen = terminal.console()
    for line in found:
        screen.print(f"  differs  {line}", style="bold red")
    if not found:
        screen.print(f"  Machine, payment and Stripe agree on all {len(SCENES)} payments.", style="bold green")
    return found


def _paid_with(method: str, kind: str = "card") -> Callable[[Stage], Awaitable[Mapping[str, Any]]]:
    async def given(_: Stage) -> Mapping[str, Any]:
        return {"payment_method": {"type": kind, "id": method}}

    return given


async def _stored_and_declined_once(stage: Stage) -> Mapping[str, Any]:
    """Attach a good card to a customer, and let its issuer say no to the next request."""
    customer = await stage.sides.at_stripe("customers", {})
    method = await stage.sides.at_stripe("payment_methods/pm_card_visa/attach", {"customer": customer["id"]})
    await stage.sides.let_fail({"fault": "decline", "code": "insufficient_funds", "path": "/v1/payment_intents"})
    return {
        "customer": {"id": customer["id"], "email": "customer@shop.example"},
        "payment_method": {"type": "card", "id": method["id"]},
        "off_session": True,
    }


async def _debit(_: Stage) -> Mapping[str, Any]:
    consent = {
        "accepted_at": SystemClock().now().isoformat(),
        "ip_address": "203.0.113.7",  # of a block for examples (RFC 5737)
        "user_agent": "counterfoil demo",
    }
    return {"payment_method": {"type": "sepa_debit", "id": "pm_sepaDebit_success_de"}, "mandate": consent}


async def _days_pass(stage: Stage, order_id: str) -> tuple[datetime, str]:
    """Let the bank take its days once it has the debit; the machine sleeps on its token meanwhile."""
    await _payment(
        stage, order_id, lambda payment: payment["status"] == "processing" and bool(payment["payment_intent_id"])
    )
    now = SystemClock().now()
    await stage.sides.let_pass(AT_THE_BANK)
    return now, f"{AT_THE_BANK.days} days pass at the bank"


SCENES: Final = (
    Scene("A card that is good", Money(1999, "EUR"), "succeeded", "SUCCEEDED", _paid_with("pm_card_visa")),
    Scene(
        "A card that its bank declines",
        Money(4250, "EUR"),
        "failed",
        "FAILED PaymentDeclined",
        _paid_with("pm_card_visa_chargeDeclined"),
    ),
    Scene(
        "A stored card that is declined, and good two seconds later",
        Money(6400, "EUR"),
        "succeeded",
        "SUCCEEDED",
        _stored_and_declined_once,
    ),
    Scene(
        "A bank debit that settles three days later", Money(12000, "EUR"), "succeeded", "SUCCEEDED", _debit, _days_pass
    ),
)
"""In the order in which they are played; the last moves the sandbox's clock, which no other may do."""
