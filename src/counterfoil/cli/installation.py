"""A whole installation on this machine: database, sandbox, mailbox and every role, for `up` and the demo."""

import json
import sys
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from counterfoil import config
from counterfoil.cli import connection, sandbox_settings
from counterfoil.cli.exits import CommandFailed
from counterfoil.cli.family import Family, Member, Patience, family
from counterfoil.cli.ports import ADDRESS, Ports
from counterfoil.config import ROLES_OF_UP, Role, Settings
from counterfoil.runtime.clock import SystemClock
from counterfoil.runtime.ids import TimeOrderedIds
from counterfoil.runtime.secret import Secret

if TYPE_CHECKING:
    import asyncpg

SANDBOX_KEY = Secret("sk_test_sandbox")
"""The sandbox takes any test key; a fixed one lets a person try its `/v1` with curl."""

SANDBOX_RATE_LIMIT = 1000
"""The sandbox limits nothing; calls to it are counted all the same, as they are to Stripe, and hardly ever wait."""

SENDER = "Counterfoil <orders@shop.example>"
"""Whom letters come from that go no further than the mailbox."""

_CREATED = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to start. `say` takes one line at a time for the person who watches.

    Attributes:
        sandbox: the Stripe sandbox and a mailbox, or Stripe itself.
        kafka: a broker where the settings name none, and what needs one.
        each: how many of every role.
        commands: what starts a role, by its name, where that is not this program.
    """

    settings: Settings
    home: Path
    ports: Ports
    sandbox: bool
    say: Callable[[str], None]
    echo_logs: bool = False
    kafka: bool = False
    each: int = 1
    commands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    patience: Patience = field(default_factory=Patience)

    @property
    def roles(self) -> tuple[Role, ...]:
        """Those that are started."""
        return tuple(Role) if self.kafka else ROLES_OF_UP

    @property
    def own_broker(self) -> bool:
        """Whether a broker is started, too."""
        return self.kafka and self.settings.kafka_brokers is None

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of what listens, as `Ports` has them."""
        roles = tuple(role.value.replace("-", "_") for role in self.roles)
        broker = ("kafka",) if self.own_broker else ()
        return (*roles, *broker, "mailbox", "smtp", "sandbox") if self.sandbox else (*roles, *broker)

    def log(self, name: str) -> Path:
        """Return the file that a process logs to."""
        return self.home / "logs" / f"{name}.log"


@dataclass(frozen=True, slots=True)
class Seat:
    """One process of a role, by the name it has among all, and where it listens."""

    role: Role
    name: str
    port: int

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{ADDRESS}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What runs, and how to reach it. `embedded` says whether the database is our own child."""

    plan: Plan
    database_url: Secret
    token: Secret
    embedded: bool
    kept: Family
    seats: tuple[Seat, ...]
    own: dict[str, str] = field(repr=False)

    @property
    def gateway(self) -> connection.Gateway:
        """The gateway, with a token that may do everything."""
        return connection.Gateway(self.plan.ports.url("gateway"), self.token)

    async def start_roles(self, settings: Mapping[str, str] = MappingProxyType({})) -> None:
        """Start every role, with these settings beside those that they have anyhow, and let commands find the gateway.

        Raises as `installation`.
        """
        self.own.update(settings)
        self.plan.say(f"Starting {', '.join(self.plan.roles)} …")
        await self.kept.start(*(self._member(seat, self.own) for seat in self.seats))
        connection.write_client_file(self.plan.home, self.gateway.url, self.token)

    async def set_anew(self, roles: Collection[Role], settings: Mapping[str, str]) -> None:
        """Start roles anew with these settings beside those they began with; what runs is otherwise left alone."""
        own = {**self.own, **settings}
        await self.kept.replace(*(self._member(seat, own) for role in roles for seat in self.seats_of(role)))

    def seats_of(self, role: Role) -> list[Seat]:
        """Return the processes of a role."""
        return [seat for seat in self.seats if seat.role is role]

    def _member(self, seat: Seat, own: Mapping[str, str]) -> Member:
        settings = {**own, "PORT": str(seat.port)}
        if seat.role is Role.DISPATCHER:  # each has a gateway of its own, as far as there are several
            number = self.seats_of(seat.role).index(seat)
            settings["PAYMENTS_GATEWAY_URL"] = self.seats_of(Role.GATEWAY)[number].url
            settings["PAYMENTS_GATEWAY_TOKEN"] = self.token.reveal()
        ours = (sys.executable, "-m", "counterfoil", "run", seat.role.value)
        return Member(
            name=seat.name,
            command=self.plan.commands.get(seat.role.value, ours),
            environment=config.environment_of_child(settings),
            health_url=seat.url + "/readyz",
            log=self.plan.log(seat.name),
        )


@asynccontextmanager
async def installation(plan: Plan) -> AsyncIterator[Installation]:
    """Run everything for as long as the context lasts; inside it every role is ready.

    Raises CommandFailed when something does not start or cannot go on, Misconfigured when a role lacks a setting,
    EmbeddedError when the database cannot be had, BrokerFailed when Kafka cannot.
    """
    async with ground(plan) as here:
        await here.start_roles()
        yield here


@asynccontextmanager
async def ground(plan: Plan) -> AsyncIterator[Installation]:
    """Run what roles stand on for as long as the context lasts: the database, a broker, what stands for Stripe.

    The roles are not started yet. Raises as `installation`.
    """
    from counterfoil.store import embedded

    plan.ports.refuse_taken(plan.parts)
    own = _shared_environment(plan)
    seats = _seats(plan)
    plan.log("").parent.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as running:
        database_url = plan.settings.database_url
        server = None
        if database_url is None:
            plan.say(f"Starting PostgreSQL in {plan.home} …")
            server = await running.enter_async_context(embedded.server(plan.home))
            database_url = Secret(server.url)
        token = await _prepared(database_url, plan)
        kept = await running.enter_async_context(family(plan.say, echo_logs=plan.echo_logs, patience=plan.patience))
        if server is not None:
            kept.depend_on("postgresql", server.ended, plan.home / embedded.LOG)
        own["DATABASE_URL"] = database_url.reveal()
        if plan.kafka:
            own["KAFKA_BROKERS"] = await _brokers(plan, kept)
        if plan.sandbox:
            plan.say("Starting the Stripe sandbox and a mailbox …")
            await kept.start(_sandbox(plan), _mailbox(plan))
            receivers = [seat.url for seat in seats if seat.role is Role.WEBHOOK_RECEIVER]
            secrets = [await _endpoint_secret(plan, url) for url in receivers]
            own["STRIPE_WEBHOOK_SECRETS"] = ",".join(secret.reveal() for secret in secrets)
            sandbox_settings.leave(
                plan.home, key=SANDBOX_KEY, api_base=plan.ports.url("sandbox"), webhook_secret=secrets[0]
            )
        else:
            sandbox_settings.remove(plan.home)
        yield Installation(
            plan=plan,
            database_url=database_url,
            token=token,
            embedded=server is not None,
            kept=kept,
            seats=seats,
            own=own,
        )


def _seats(plan: Plan) -> tuple[Seat, ...]:
    """Return the processes of every role: the first where one looks for it, those beside it on any free port."""
    free = iter(Ports.free_ones(len(plan.roles) * (plan.each - 1), but_for=astuple(plan.ports)))
    return tuple(
        Seat(role, role.value, getattr(plan.ports, role.value.replace("-", "_")))
        if number == 1
        else Seat(role, f"{role.value}-{number}", next(free))
        for role in plan.roles
        for number in range(1, plan.each + 1)
    )


async def _brokers(plan: Plan, kept: Family) -> str:
    """Return where Kafka is, with all topics there; it is started where the settings name none."""
    import asyncio

    from counterfoil.bus import local, topics
    from counterfoil.roles.kafka import config_of

    brokers = plan.settings.kafka_brokers
    if brokers is None:
        jars = plan.settings.counterfoil_home.absolute() / "kafka-jars"
        if not local.missing_tools() and not local.are_fetched(jars):
            plan.say("Fetching Kafka's jars, some 60 MB and only once …")
        plan.say("Starting Kafka …")
        brokers = f"{ADDRESS}:{plan.ports.kafka}"
        program = await asyncio.to_thread(
            local.prepared, plan.home / "kafka", plan.ports.kafka, Ports.free_one(), jars=jars
        )
        await kept.start(
            Member(
                name="kafka",
                command=program.command,
                environment=program.environment,
                health_url=f"tcp://{brokers}",
                log=program.log,
                leaned_on=True,
            )
        )
    try:
        await topics.create(config_of(replace(plan.settings, kafka_brokers=brokers)), 1)
    except topics.NotMade as why:
        raise CommandFailed(f"the broker does not make {why}") from None
    return brokers


async def _prepared(database_url: Secret, plan: Plan) -> Secret:
    """Bring the database to this program's schema, and return a token that may do everything."""
    from counterfoil.cli.database import MIGRATION_TIMEOUT_MS, connected
    from counterfoil.store.migrate import migrate

    async with connected(database_url, statement_timeout_ms=MIGRATION_TIMEOUT_MS) as database:
        await migrate(database, SystemClock().now().date())
        return await _token(database, plan.home)


async def _token(database: "asyncpg.Connection[asyncpg.Record]", home: Path) -> Secret:
    """Return the token that an earlier start left if it is still good, else a new one."""
    from counterfoil.store import tokens

    left = connection.left_by_up(home)
    if (
        left is not None
        and left.token is not None
        and tokens.digest(left.token.reveal()) in await tokens.good(database)
    ):
        return left.token
    clock = SystemClock()
    return await tokens.create(database, f"up-{TimeOrderedIds(clock).new()}", tokens.Scope, clock.now())


def _ways_of_orders(plan: Plan) -> dict[str, str]:
    """Return the settings of the ways on which orders come and facts go, beside HTTP."""
    settings, own = plan.settings, {}
    if plan.kafka and settings.kafka_config:
        own["KAFKA_CONFIG"] = json.dumps({name: secret.reveal() for name, secret in settings.kafka_config.items()})
    if plan.kafka and settings.outbox_sources:
        own["OUTBOX_SOURCES"] = config.written_sources(settings.outbox_sources)
    if settings.step_functions_queue_url is not None:
        own["STEP_FUNCTIONS_QUEUE_URL"] = settings.step_functions_queue_url
    return own


def _shared_environment(plan: Plan) -> dict[str, str]:
    """Return the settings that every role gets, but for the database's; each then reads the ones it needs.

    Raises Misconfigured when a role lacks one that only a person can give: the key of Stripe, the signing secret.
    """
    settings = plan.settings
    own = {
        "LISTEN_ADDRESS": ADDRESS,
        "MODE": settings.mode.value,
        "LOG_LEVEL": settings.log_level.value,
        "ALLOWED_HOSTS": ",".join(settings.allowed_hosts or ("127.0.0.1", "localhost")),
        "PUBLIC_URL": settings.public_url or plan.ports.url("gateway"),
        "RETURN_URL": settings.return_url or plan.ports.url("gateway") + "/healthz",
        "FRAUD_SCREENING": settings.fraud_screening.value,
        "FRAUD_TIMEOUT": f"{settings.fraud_timeout.total_seconds():.0f} s",
        "FRAUD_AUTO_BLOCK": str(settings.fraud_auto_block),
    }
    own |= _ways_of_orders(plan)
    if plan.sandbox:
        own |= {
            "MODE": config.Mode.TEST.value,
            "STRIPE_KEY": SANDBOX_KEY.reveal(),
            "STRIPE_API_BASE": plan.ports.url("sandbox"),
            "STRIPE_RATE_LIMIT": str(settings.stripe_rate_limit or SANDBOX_RATE_LIMIT),
            "DEFAULT_PAYMENT_METHOD": settings.default_payment_method or "pm_card_visa",
            "SMTP_URL": f"smtp://{ADDRESS}:{plan.ports.smtp}",
            "MAIL_FROM": SENDER,
        }
        return own
    own["STRIPE_API_BASE"] = settings.stripe_api_base
    if settings.stripe_rate_limit is not None:
        own["STRIPE_RATE_LIMIT"] = str(settings.stripe_rate_limit)
    if settings.stripe_key is not None:
        own["STRIPE_KEY"] = settings.stripe_key.reveal()
    if settings.stripe_webhook_secrets:
        own["STRIPE_WEBHOOK_SECRETS"] = ",".join(one.written() for one in settings.stripe_webhook_secrets)
    if settings.smtp_url is not None and settings.mail_from is not None:
        own |= {"SMTP_URL": settings.smtp_url.reveal(), "MAIL_FROM": settings.mail_from}
    if settings.default_payment_method is not None:
        own["DEFAULT_PAYMENT_METHOD"] = settings.default_payment_method
    for role in ROLES_OF_UP:
        config.load(own, role)
    return own


def _sandbox(plan: Plan) -> Member:
    return Member(
        name="sandbox",
        command=(sys.executable, "-m", "stripe_sandbox", "--port", str(plan.ports.sandbox)),
        environment=config.environment_of_child({}),
        health_url=plan.ports.url("sandbox") + "/_sandbox/health",
        log=plan.log("sandbox"),
        irreplaceable=True,
    )


def _mailbox(plan: Plan) -> Member:
    from counterfoil.roles.mailbox.box import FOLDER

    ports = ("--port", str(plan.ports.mailbox), "--smtp-port", str(plan.ports.smtp))
    folder = ("--folder", str(plan.home / FOLDER))
    return Member(
        name="mailbox",
        command=(sys.executable, "-m", "counterfoil.roles.mailbox", "--host", ADDRESS, *ports, *folder),
        environment=config.environment_of_child({}),
        health_url=plan.ports.url("mailbox") + "/readyz",
        log=plan.log("mailbox"),
    )


async def _endpoint_secret(plan: Plan, receiver_url: str) -> Secret:
    """Register a receiver of ours with the sandbox, as one does with Stripe, and return the secret it signs with.

    The sandbox could be given a secret on its command line, but every user of the machine can read that.
    """
    import httpx

    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(
            plan.ports.url("sandbox") + "/v1/webhook_endpoints",
            data={
                "url": receiver_url + "/webhooks/stripe",
                "enabled_events[]": "*",
                "api_version": config.STRIPE_API_VERSION,
            },
            headers={"Authorization": f"Bearer {SANDBOX_KEY.reveal()}"},
        )
    if answer.status_code != _CREATED:
        raise CommandFailed(
            f"the sandbox refused our webhook endpoint [{answer.status_code}]: see {plan.log('sandbox')}"
        )
    return Secret(answer.json()["secret"])
