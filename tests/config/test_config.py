from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import pytest

from counterfoil import config
from counterfoil.config import Mode, Role, Settings, Shown, Source
from counterfoil.domain.errors import Misconfigured
from counterfoil.domain.payment import ScreeningMode
from counterfoil.runtime.secret import Secret

TEST_KEY = "sk_test_51NotARealKey"
LIVE_KEY = "sk_live_51NotARealKey"
SECRETS = [f"whsec_{letter * 24}" for letter in "abcd"]


DISPATCHERS = {
    "KAFKA_BROKERS": "kafka.example:9092",
    "PAYMENTS_GATEWAY_URL": "http://gateway.example:8080",
    "PAYMENTS_GATEWAY_TOKEN": "cf_made_up",
}


def refusal(environ: Mapping[str, str], role: Role | None) -> str:
    with pytest.raises(Misconfigured) as caught:
        config.load(environ, role)
    return str(caught.value)


def test_nothing_set_gives_the_defaults() -> None:
    """The command line works on a machine where nothing is set."""
    assert config.load({}, None) == Settings(
        payments_mode=None,
        listen_address="0.0.0.0",  # noqa: S104 - the default under test
        port=8080,
        mode=Mode.TEST,
        allowed_hosts=(),
        secrets_source=config.SecretsSource.ENV,
        database_url=None,
        stripe_key=None,
        stripe_api_base="https://api.stripe.com",
        stripe_api_version="2024-06-20",
        stripe_driver=config.StripeDriver.PAYMENT_INTENTS,
        stripe_rate_limit=None,
        stripe_webhook_secrets=(),
        return_url=None,
        public_url=None,
        kafka_brokers=None,
        kafka_config={},
        outbox_sources=(),
        payments_gateway_url=None,
        payments_gateway_token=None,
        smtp_url=None,
        step_functions_queue_url=None,
        mail_from=None,
        default_payment_method=None,
        fraud_screening=config.FraudScreening.NONE,
        fraud_timeout=timedelta(minutes=15),
        fraud_auto_block=90,
        log_level=config.LogLevel.INFO,
        counterfoil_home=Path(".counterfoil"),
        counterfoil_url=None,
        counterfoil_token=None,
    )


def test_everything_set_is_parsed() -> None:
    """Each setting arrives in the type that the rest of the program works with."""
    environ = {
        "PAYMENTS_MODE": "worker",
        "PORT": "9000",
        "MODE": "live",
        "ALLOWED_HOSTS": "pay.example.com, [::1]",
        "DATABASE_URL": "postgresql://app:pw@db/payments?sslmode=require",
        "STRIPE_KEY": LIVE_KEY,
        "STRIPE_API_BASE": "https://api.stripe.com/",
        "RETURN_URL": "https://shop.example.com/thanks",
        "PUBLIC_URL": "https://pay.example.com",
        "SMTP_URL": "smtp+starttls://app:p%40ss@mail.example.com:587",
        "MAIL_FROM": " Tea & Mugs <orders@shop.example.com> ",
        "LOG_LEVEL": "debug",
        "COUNTERFOIL_HOME": "/var/lib/counterfoil",
        "COUNTERFOIL_URL": "https://pay.example.com/",
        "COUNTERFOIL_TOKEN": "cf_token",
        "PATH": "/usr/bin",
    }
    settings = config.load(environ, None)
    assert settings.payments_mode is Role.WORKER
    assert (settings.port, settings.mode) == (9000, Mode.LIVE)
    assert settings.allowed_hosts == ("pay.example.com", "[::1]")
    assert settings.database_url == Secret("postgresql://app:pw@db/payments?sslmode=require")
    assert settings.stripe_key == Secret(LIVE_KEY)
    assert settings.stripe_api_base == "https://api.stripe.com"
    assert settings.smtp_url == Secret("smtp+starttls://app:p%40ss@mail.example.com:587")
    assert settings.mail_from == "Tea & Mugs <orders@shop.example.com>"
    assert settings.counterfoil_home == Path("/var/lib/counterfoil")
    assert settings.counterfoil_url == "https://pay.example.com"
    assert settings.counterfoil_token == Secret("cf_token")


def test_the_table_and_the_value_have_the_same_names() -> None:
    """Each row of the table fills exactly one field, so neither can gain a setting alone."""
    assert [setting.field for setting in config.SETTINGS] == [field.name for field in fields(Settings)]


@pytest.mark.parametrize("environ", [{}, {"STRIPE_API_KEY": ""}, {"STRIPE_KEY": ""}])
@pytest.mark.parametrize("role", [Role.GATEWAY, Role.WORKER])
def test_a_role_that_charges_needs_a_key(environ: dict[str, str], role: Role) -> None:
    """A gateway or worker without a key, or with an empty one, refuses to start and names the setting (G01)."""
    assert refusal(environ, role) == (
        f"STRIPE_KEY is missing: the {role} cannot work without it (what charges are made with)"
    )


@pytest.mark.parametrize("key", [TEST_KEY + "\n", "\n" + TEST_KEY, "sk_test_51\nNot", "sk_test_51 Not", " "])
def test_a_key_with_a_line_break_or_space_is_refused(key: str) -> None:
    """A key that would end a header line early never reaches a header (G01)."""
    assert refusal({"STRIPE_KEY": key}, Role.GATEWAY) == (
        "STRIPE_KEY holds a space, a line break or another character that no key has"
    )


@pytest.mark.parametrize("key", ["pk_test_51NotARealKey", "sk_51", "whsec_aaaaaaaaaaaaaaaaaaaaaaaa", "sk_test_"])
def test_what_is_no_secret_key_is_refused(key: str) -> None:
    """A publishable key or a signing secret in the wrong place is found at start, not at the first charge."""
    assert refusal({"STRIPE_KEY": key}, Role.GATEWAY).startswith("STRIPE_KEY must be a secret or restricted key")


@pytest.mark.parametrize(
    ("mode", "key", "expected"),
    [
        ("test", LIVE_KEY, "STRIPE_KEY is a live key, and MODE is test"),
        ("live", TEST_KEY, "STRIPE_KEY is a test key, and MODE is live"),
        ("test", "rk_live_51Restricted", "STRIPE_KEY is a live key, and MODE is test"),
        ("live", "sk_test_x_live_", "STRIPE_KEY is a test key, and MODE is live"),
    ],
)
def test_the_key_must_fit_the_mode(mode: str, key: str, expected: str) -> None:
    """Neither real money in a test nor test charges in production: the two must say the same (G02)."""
    assert refusal({"MODE": mode, "STRIPE_KEY": key}, Role.GATEWAY) == expected


def test_a_key_under_its_other_name() -> None:
    """Stripe's own tools call it STRIPE_API_KEY; that name works too, unless both are set and differ."""
    assert config.load({"STRIPE_API_KEY": TEST_KEY}, Role.GATEWAY).stripe_key == Secret(TEST_KEY)
    both = {"STRIPE_API_KEY": TEST_KEY, "STRIPE_KEY": TEST_KEY}
    assert config.load(both, Role.GATEWAY).stripe_key == Secret(TEST_KEY)
    assert refusal({**both, "STRIPE_KEY": "rk_test_other"}, Role.GATEWAY) == (
        "STRIPE_KEY and STRIPE_API_KEY are both set, and differ: keep one"
    )


def test_screening_is_set_in_words() -> None:
    """When, how long, and from which risk on; a space before the unit or none."""
    environ = {"FRAUD_SCREENING": "before_capture", "FRAUD_TIMEOUT": "90s", "FRAUD_AUTO_BLOCK": "75"}
    settings = config.load(environ, None)
    assert settings.fraud_screening.value == ScreeningMode.BEFORE_CAPTURE.value
    assert (settings.fraud_timeout, settings.fraud_auto_block) == (timedelta(seconds=90), 75)
    assert config.load({"FRAUD_TIMEOUT": "2 h"}, None).fraud_timeout == timedelta(hours=2)


def test_screening_knows_the_modes_of_payments() -> None:
    """The settings' words are the domain's, one for one."""
    assert [mode.value for mode in ScreeningMode] == [mode.value for mode in config.FraudScreening]


@pytest.mark.parametrize("mode", ["before", "NONE", "yes", " none"])
def test_an_unknown_mode_of_screening_is_refused(mode: str) -> None:
    """A misspelt mode must not mean that nothing is screened."""
    assert refusal({"FRAUD_SCREENING": mode}, None) == (
        "FRAUD_SCREENING must be one of: none, before_charge, before_capture"
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("15", "must be a number and its unit: s, min or h"),
        ("15 minutes", "must be a number and its unit: s, min or h"),
        ("-1 s", "must be a number and its unit: s, min or h"),
        ("0 s", "must be at least 1 s and at most 24 h"),
        ("25 h", "must be at least 1 s and at most 24 h"),
    ],
)
def test_a_time_that_no_check_may_take_is_refused(text: str, why: str) -> None:
    """A number without its unit, and a wait of nothing or of days."""
    assert refusal({"FRAUD_TIMEOUT": text}, None) == f"FRAUD_TIMEOUT {why}"


@pytest.mark.parametrize("score", ["0", "101", "90.5", "high", "-1"])
def test_a_score_that_is_none_is_refused(score: str) -> None:
    """Nought would decline everything."""
    assert refusal({"FRAUD_AUTO_BLOCK": score}, None) == ("FRAUD_AUTO_BLOCK must be a whole number, 1 to 100")


@pytest.mark.parametrize("environ", [{}, {"STRIPE_WEBHOOK_SECRET": ""}, {"STRIPE_WEBHOOK_SECRETS": ""}])
def test_a_receiver_needs_a_signing_secret(environ: dict[str, str]) -> None:
    """An empty secret verifies forgeries, so a receiver without one must not start (G05)."""
    assert refusal(environ, Role.WEBHOOK_RECEIVER).startswith(
        "STRIPE_WEBHOOK_SECRETS is missing: the webhook-receiver cannot work without it"
    )


@pytest.mark.parametrize(
    "secrets",
    [
        "whsec_",
        "whsec_aaaaaaaaaaaaaaa",
        "sec_aaaaaaaaaaaaaaaaaaaaaaaa",
        "whsec_aaaaaaaa aaaaaaaaaaaaaaaa",
        f"{SECRETS[0]}\n",
        f"{SECRETS[0]},",
        f",{SECRETS[0]}",
        f"{SECRETS[0]},whsec_short",
        f"x{SECRETS[0]}",
    ],
)
def test_a_signing_secret_has_its_shape(secrets: str) -> None:
    """Each secret is whsec_ and at least 16 characters; an empty one among several is refused too (G05)."""
    assert refusal({"STRIPE_WEBHOOK_SECRETS": secrets}, Role.WEBHOOK_RECEIVER).startswith(
        "STRIPE_WEBHOOK_SECRETS must be whsec_… with at least 16 characters after it"
    )


def test_three_signing_secrets_in_their_order() -> None:
    """Old, current and next secret work side by side while one is being replaced (G06)."""
    settings = config.load({"STRIPE_WEBHOOK_SECRETS": ", ".join(SECRETS[:3])}, Role.WEBHOOK_RECEIVER)
    assert [one.secret.reveal() for one in settings.stripe_webhook_secrets] == SECRETS[:3]


def test_four_signing_secrets_are_refused() -> None:
    """More than a rotation needs means that old secrets are not being retired (G06)."""
    assert refusal({"STRIPE_WEBHOOK_SECRETS": ",".join(SECRETS)}, Role.WEBHOOK_RECEIVER) == (
        "STRIPE_WEBHOOK_SECRETS holds 4 secrets: at most 3 (old, current, next)"
    )


def test_the_same_signing_secret_twice_is_refused() -> None:
    """A rotation that pasted the old secret again is found before the old one is revoked."""
    assert refusal({"STRIPE_WEBHOOK_SECRETS": f"{SECRETS[0]},{SECRETS[0]}"}, Role.WEBHOOK_RECEIVER) == (
        "STRIPE_WEBHOOK_SECRETS holds the same secret twice"
    )


@pytest.mark.parametrize(
    "environ",
    [
        {"DATABASE_URL": "postgresql://app:hunter2@db/payments?sslmode=disable"},
        {"DATABASE_URL": "postgresql://app:hunter2@db/payments", "PGSSLMODE": "disable"},
    ],
)
def test_live_payments_never_travel_in_the_clear(environ: dict[str, str]) -> None:
    """sslmode=disable is for a machine of one's own: live mode refuses it (G08)."""
    test = config.load(environ, None)
    assert test.database_url == Secret(environ["DATABASE_URL"])
    assert refusal({**environ, "MODE": "live"}, None).startswith("DATABASE_URL has sslmode=disable, and MODE is live")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("COUNTERFOIL_HOEM", "x", "COUNTERFOIL_HOEM is not a setting: did you mean COUNTERFOIL_HOME?"),
        ("STRIPE_WEBHOOK_SECRT", "x", "STRIPE_WEBHOOK_SECRT is not a setting: did you mean STRIPE_WEBHOOK_SECRET?"),
        ("COUNTERFOIL_QQQQQQQQQQ", "", "COUNTERFOIL_QQQQQQQQQQ is not a setting"),
        (
            "PAYMENTS_MODE",
            "wroker",
            "PAYMENTS_MODE must be one of: gateway, webhook-receiver, worker, outbox-publisher, dispatcher",
        ),
        ("PORT", "0", "PORT must be a port, 1 to 65535"),
        ("PORT", "65536", "PORT must be a port, 1 to 65535"),
        ("PORT", "٨٠٨٠", "PORT must be a port, 1 to 65535"),
        ("PORT", "8080\n", "PORT must be a port, 1 to 65535"),
        ("MODE", "Live", "MODE must be one of: test, live"),
        (
            "ALLOWED_HOSTS",
            "pay.example.com,",
            "ALLOWED_HOSTS must be host names with commas between them, without ports",
        ),
        ("ALLOWED_HOSTS", "a:80", "ALLOWED_HOSTS must be host names with commas between them, without ports"),
        ("DATABASE_URL", "mysql://db/payments", "DATABASE_URL must be an address that starts with postgresql://"),
        ("DATABASE_URL", "postgresql://db/x?sslmode=no", "DATABASE_URL has an sslmode that PostgreSQL does not know"),
        (
            "STRIPE_API_BASE",
            "api.stripe.com",
            "STRIPE_API_BASE must be an address that starts with http:// or https://",
        ),
        ("STRIPE_API_BASE", "http://x:0", "STRIPE_API_BASE must not have the port 0"),
        ("STRIPE_API_BASE", "https://u:p@x", "STRIPE_API_BASE must not hold a user name or password"),
        (
            "STRIPE_API_VERSION",
            "2025-01-01",
            "STRIPE_API_VERSION must be 2024-06-20, the version that answers and events are read in",
        ),
        (
            "STRIPE_RATE_LIMIT",
            "24",
            "STRIPE_RATE_LIMIT must be a whole number of requests a second, 25 to 100000",
        ),
        ("STRIPE_DRIVER", "sources", "STRIPE_DRIVER must be one of: payment_intents, charges"),
        ("RETURN_URL", "http://shop.example.com/", "RETURN_URL must start with https:// unless it is on this machine"),
        ("RETURN_URL", "javascript:alert(1)", "RETURN_URL must be an address that starts with http:// or https://"),
        (
            "DEFAULT_PAYMENT_METHOD",
            "4242424242424242",
            "DEFAULT_PAYMENT_METHOD must be the id of a payment method or token: pm_…, tok_…, card_… or src_…",
        ),
        ("LOG_LEVEL", "loud", "LOG_LEVEL must be one of: debug, info, warning, error"),
        (
            "COUNTERFOIL_TOKEN",
            "a b",
            "COUNTERFOIL_TOKEN holds a space, a line break or another character that no token has",
        ),
    ],
)
def test_what_is_wrong_or_unknown_is_named_in_one_line(name: str, value: str, expected: str) -> None:
    """Every refusal names its setting and what it must be, and a misspelt name its nearest neighbour (G13)."""
    assert refusal({name: value}, None) == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (
            {"DEFAULT_PAYMENT_METHOD": "pm_card_visa"},
            "DEFAULT_PAYMENT_METHOD is for MODE=test only: in live mode the order names its method",
        ),
        (
            {"STRIPE_API_BASE": "http://127.0.0.1:12111"},
            "STRIPE_API_BASE must start with https:// in live mode: the key travels with each call",
        ),
    ],
)
def test_live_mode_refuses_what_is_for_trying_things_out(environ: dict[str, str], expected: str) -> None:
    """A setting left over from a trial never meets real money."""
    config.load(environ, None)
    assert refusal({**environ, "MODE": "live"}, None) == expected


def test_a_role_holds_only_its_own_secrets() -> None:
    """The receiver never holds the Stripe key, nor a charging role the signing secrets, nor the dispatcher either."""
    environ = {"STRIPE_KEY": TEST_KEY, "STRIPE_WEBHOOK_SECRET": SECRETS[0], **DISPATCHERS}
    held = {
        role: (settings.stripe_key is not None, bool(settings.stripe_webhook_secrets))
        for role in Role
        for settings in [config.load(environ, role)]
    }
    assert held == {
        Role.GATEWAY: (True, False),
        Role.WEBHOOK_RECEIVER: (False, True),
        Role.WORKER: (True, False),
        Role.OUTBOX_PUBLISHER: (False, False),
        Role.DISPATCHER: (False, False),
    }
    environ["DATABASE_URL"] = "postgresql://payments:secret@db.example/payments"
    assert config.load(environ, Role.DISPATCHER).database_url is None
    assert config.load(environ, Role.GATEWAY).payments_gateway_token is None


@pytest.mark.parametrize("name", ["KAFKA_BROKERS", "PAYMENTS_GATEWAY_URL", "PAYMENTS_GATEWAY_TOKEN"])
def test_a_dispatcher_needs_both_of_its_ends(name: str) -> None:
    """Without brokers, the gateway's address or a token for it, it does not start."""
    rest = {key: text for key, text in DISPATCHERS.items() if key != name}
    assert refusal(rest, Role.DISPATCHER).startswith(f"{name} is missing: the dispatcher cannot work without it")


def test_a_refusal_never_shows_the_value() -> None:
    """What is wrong with a secret is said without the secret."""
    for name in ("STRIPE_KEY", "STRIPE_WEBHOOK_SECRETS", "DATABASE_URL", "COUNTERFOIL_TOKEN"):
        assert "hunter2" not in refusal({name: "hunter2 hunter2"}, None)


def test_shown_says_where_each_value_came_from_and_masks_secrets() -> None:
    """A person sees every setting with its source, and of a secret no more than its kind."""
    rows = {
        row.name: row
        for row in config.shown(
            {
                "STRIPE_API_KEY": TEST_KEY,
                "STRIPE_WEBHOOK_SECRETS": ",".join(SECRETS[:2]),
                "DATABASE_URL": "postgresql://app:p@ss:w@db:5432/payments",
                "COUNTERFOIL_TOKEN": "hunter2",
            }
        )
    }
    assert list(rows) == [setting.name for setting in config.SETTINGS]
    assert rows["STRIPE_KEY"].value == "sk_test_…"
    assert rows["STRIPE_WEBHOOK_SECRETS"].value == "whsec_…, whsec_…"
    assert rows["DATABASE_URL"].value == "postgresql://app:…@db:5432/payments"
    assert rows["COUNTERFOIL_TOKEN"].value == "…"
    assert rows["PORT"] == Shown("PORT", "8080", Source.DEFAULT, "where this role listens: its routes, health, metrics")
    assert (rows["RETURN_URL"].value, rows["RETURN_URL"].source) == (None, Source.UNSET)


def test_a_password_in_the_query_is_masked_too() -> None:
    """PostgreSQL also takes the password as a parameter of the address."""
    rows = config.shown({"DATABASE_URL": "postgresql:///payments?host=db&password=hunter2&sslmode=require"})
    assert [row.value for row in rows if row.name == "DATABASE_URL"] == [
        "postgresql:///payments?host=db&password=…&sslmode=require"
    ]


def test_a_child_gets_our_environment_but_not_our_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What we start finds its own settings and none of ours, and everything else as we found it."""
    for name, text in {"STRIPE_API_KEY": TEST_KEY, "PORT": "9000", "COLOUR_OF_THE_DAY": "green"}.items():
        monkeypatch.setenv(name, text)
    child = config.environment_of_child({"PORT": "9001"})
    assert [child.get(name) for name in ("STRIPE_API_KEY", "PORT", "COLOUR_OF_THE_DAY")] == [None, "9001", "green"]


@pytest.mark.parametrize(
    "address",
    [
        "mail.example.com",
        "http://mail.example.com",
        "smtp://",
        "smtp://mail.example.com:0",
        "smtp://mail.example.com:hunter2",
        "smtp://app:hunter2/x@mail.example.com",
        "smtp://mail.example.com/hunter2",
        "smtp://mail.example.com?hunter2",
        "smtp://mail example.com",
        "smtp://app:hunter2@mail.example.com",
    ],
)
def test_what_is_no_mail_server_is_refused(address: str) -> None:
    """Nor a password that would travel to another machine in the clear; and no refusal holds half of one."""
    sentence = refusal({"SMTP_URL": address, "MAIL_FROM": "a@b.example"}, None)
    assert sentence.startswith("SMTP_URL ")
    assert "hunter2" not in sentence


@pytest.mark.parametrize("address", ["smtp://app:pw@127.0.0.1:1025", "smtps://app:pw@mail.example.com", "smtp://mail"])
def test_what_is_a_mail_server_is_taken(address: str) -> None:
    """On this machine a password may travel as it is; without one, a letter may."""
    assert config.load({"SMTP_URL": address, "MAIL_FROM": "a@b.example"}, None).smtp_url == Secret(address)


@pytest.mark.parametrize(
    "sender",
    [
        "Shop",
        "a b@c",
        "a@b, c@d",
        "Shop <a@b",
        "a@b>",
        'Sh"op <a@b>',
        "Shop\n <a@b>",
        "a..b@c",
        "a@b..c",
        "a@b@c",
        "<>",
    ],
)
def test_what_is_no_sender_is_refused(sender: str) -> None:
    """A letter comes from one address, with a name before it or without."""
    assert refusal({"MAIL_FROM": sender}, None).startswith("MAIL_FROM must be an address, or a name and an address")


def test_a_mail_server_needs_a_sender() -> None:
    """It is found at start, and not when the first receipt is due."""
    assert refusal({"SMTP_URL": "smtp://mail"}, None) == (
        "MAIL_FROM is missing: SMTP_URL is set, and a letter comes from somebody"
    )


def test_the_worker_alone_holds_the_mail_servers_password() -> None:
    """It is of use to nobody else, and the worker can do without it."""
    environ = {"SMTP_URL": "smtps://app:pw@mail", "MAIL_FROM": "a@b", "STRIPE_KEY": TEST_KEY}
    holders = {role for role in (Role.GATEWAY, Role.WORKER) if config.load(environ, role).smtp_url is not None}
    assert holders == {Role.WORKER}
    assert config.load({"STRIPE_KEY": TEST_KEY}, Role.WORKER).smtp_url is None


def test_the_mail_servers_password_is_not_shown() -> None:
    """A person sees which server and which name."""
    rows = {row.name: row.value for row in config.shown({"SMTP_URL": "smtps://app:pw@mail:465", "MAIL_FROM": "a@b"})}
    assert (rows["SMTP_URL"], rows["MAIL_FROM"]) == ("smtps://app:…@mail:465", "a@b")
