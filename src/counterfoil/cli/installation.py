"""A whole installation on this machine: database, sandbox, mailbox and every role, for `up` and the demo."""

import sys
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from counterfoil import config
from counterfoil.cli import connection, sandbox_settings
from counterfoil.cli.exits import CommandFailed
from counterfoil.cli.family import Family, Member, family
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
    """What to start. `say` takes one line at a time for the person who watches."""

    settings: Settings
    home: Path
    ports: Ports
    sandbox: bool
    say: Callable[[str], None]
    echo_logs: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of what listens, as `Ports` has them."""
        roles = tuple(role.value.replace("-", "_") for role in ROLES_OF_UP)
        return (*roles, "mailbox", "smtp", "sandbox") if self.sandbox else roles

    def log(self, name: str) -> Path:
        """Return the file that a process logs to."""
        return self.home / "logs" / f"{name}.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What runs, and how to reach it. `embedded` says whether the database is our own child."""

    plan: Plan
    database_url: Secret
    token: Secret
    embedded: bool
    kept: Family
    own: Mapping[str, str] = field(repr=False)

    @property
    def gateway(self) -> connection.Gateway:
        """The gateway, with a token that may do everything."""
        return connection.Gateway(self.plan.ports.url("gateway"), self.token)

    async def set_anew(self, roles: Collection[Role], settings: Mapping[str, str]) -> None:
        """Start roles anew with these settings beside those they began with; what runs is otherwise left alone."""
        await self.kept.replace(*(_role(self.plan, role, {**self.own, **settings}) for role in roles))


@asynccontextmanager
async def installation(plan: Plan) -> AsyncIterator[Installation]:
    """Run everything for as long as the context lasts; inside it every role is ready.

    Raises CommandFailed when something does not start or cannot go on, Misconfigured when a role lacks a setting,
    EmbeddedError when the database cannot be had.
    """
    from counterfoil.store import embedded

    plan.ports.refuse_taken(plan.parts)
    own = _shared_environment(plan)
    plan.log("").parent.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as running:
        database_url = plan.settings.database_url
        server = None
        if database_url is None:
            plan.say(f"Starting PostgreSQL in {plan.home} …")
            server = await running.enter_async_context(embedded.server(plan.home))
            database_url = Secret(server.url)
        token = await _prepared(database_url, plan)
        kept = await running.enter_async_context(family(plan.say, echo_logs=plan.echo_logs))
        if server is not None:
            kept.depend_on("postgresql", server.ended, plan.home / embedded.LOG)
        own["DATABASE_URL"] = database_url.reveal()
        if plan.sandbox:
            plan.say("Starting the Stripe sandbox and a mailbox …")
            await kept.start(_sandbox(plan), _mailbox(plan))
            secret = await _endpoint_secret(plan)
            own["STRIPE_WEBHOOK_SECRETS"] = secret.reveal()
            sandbox_settings.leave(
                plan.home, key=SANDBOX_KEY, api_base=plan.ports.url("sandbox"), webhook_secret=secret
            )
        else:
            sandbox_settings.remove(plan.home)
        plan.say(f"Starting {', '.join(ROLES_OF_UP)} …")
        await kept.start(*(_role(plan, role, own) for role in ROLES_OF_UP))
        here = Installation(
            plan=plan, database_url=database_url, token=token, embedded=server is not None, kept=kept, own=own
        )
        connection.write_client_file(plan.home, here.gateway.url, token)
        yield here


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


def _role(plan: Plan, role: Role, own: Mapping[str, str]) -> Member:
    name = role.value.replace("-", "_")
    return Member(
        name=role.value,
        command=(sys.executable, "-m", "counterfoil", "run", role.value),
        environment=config.environment_of_child({**own, "PORT": str(getattr(plan.ports, name))}),
        health_url=plan.ports.url(name) + "/readyz",
        log=plan.log(role.value),
    )


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


async def _endpoint_secret(plan: Plan) -> Secret:
    """Register our receiver with the sandbox, as one does with Stripe, and return the secret it signs with.

    The sandbox could be given a secret on its command line, but every user of the machine can read that.
    """
    import httpx

    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(
            plan.ports.url("sandbox") + "/v1/webhook_endpoints",
            data={
                "url": plan.ports.url("webhook_receiver") + "/webhooks/stripe",
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
