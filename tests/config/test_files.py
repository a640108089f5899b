from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from counterfoil import config
from counterfoil.config import Role, SecretsSource, Source
from counterfoil.domain.errors import Misconfigured

KEY, SECRET, OTHER = "sk_test_51NotARealKey", f"whsec_{'a' * 24}", f"whsec_{'b' * 24}"

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file that its owner alone may read, and return its path."""

    def written(name: str, content: str | bytes, mode: int = 0o400) -> str:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        return str(path)

    return written


def refusal(role: Role | None = None, **environ: str) -> str:
    with pytest.raises(Misconfigured) as caught:
        config.load({"SECRETS_SOURCE": "file", **environ}, role)
    return str(caught.value)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_secret_setting_names_a_file(write: Write, end: str) -> None:
    """Its text is the value, but for one line end; what is no secret stands in the setting itself."""
    environ = {
        "SECRETS_SOURCE": "file",
        "STRIPE_KEY": write("key", KEY + end),
        "STRIPE_WEBHOOK_SECRET": write("signing", f"{SECRET},{OTHER}{end}"),
        "RETURN_URL": "https://shop.example/back",
    }
    settings = config.load(environ, None)
    assert settings.stripe_key is not None
    assert (settings.secrets_source, settings.stripe_key.reveal()) == (SecretsSource.FILE, KEY)
    assert [one.secret.reveal() for one in settings.stripe_webhook_secrets] == [SECRET, OTHER]
    assert settings.return_url == "https://shop.example/back"


def test_what_is_wrong_with_a_file_is_said_without_its_path_or_content(write: Write, tmp_path: Path) -> None:
    """A secret that was set in a file's place is not repeated, either."""
    refusals = {
        refusal(STRIPE_KEY=KEY): "must be the absolute path of a file, because SECRETS_SOURCE is file",
        refusal(STRIPE_KEY=str(tmp_path / "none")): "names a file that cannot be read (No such file or directory)",
        refusal(STRIPE_KEY=str(tmp_path)): "names something that is no file",
        refusal(STRIPE_KEY=write("empty", "\n")): "names a file that is empty",
        refusal(STRIPE_KEY=write("binary", b"\xff\xfe")): "names a file that is no text",
        refusal(STRIPE_KEY=write("long", "x" * 70_000)): "names a file that is too long for a secret",
        refusal(STRIPE_KEY=write("two", f"{KEY}\n\n")): "holds a space, a line break or another character that no key",
    }
    wrong = [(said, words) for said, words in refusals.items() if not said.startswith(f"STRIPE_KEY {words}")]
    assert wrong == []
    assert [said for said in refusals if str(tmp_path) in said or KEY in said] == []


def test_an_unknown_source_is_refused() -> None:
    """One that is not built is not taken for one that is."""
    with pytest.raises(Misconfigured, match=r"^SECRETS_SOURCE must be one of: env, file$"):
        config.load({"SECRETS_SOURCE": "vault"}, None)


def test_a_role_reads_no_file_of_another_roles_secret(write: Write) -> None:
    """The receiver's account need not be able to read the key of Stripe, and the file may be missing."""
    environ = {"SECRETS_SOURCE": "file", "STRIPE_WEBHOOK_SECRETS": write("s", SECRET), "STRIPE_KEY": "/nowhere/key"}
    settings = config.load(environ, Role.WEBHOOK_RECEIVER)
    assert (settings.stripe_key, len(settings.stripe_webhook_secrets)) == (None, 1)
    assert config.named_role({**environ, "PAYMENTS_MODE": "webhook-receiver"}) is Role.WEBHOOK_RECEIVER


def test_a_file_that_everybody_may_read_is_named_and_refused_in_live_mode(write: Write) -> None:
    """For trying things out it is a warning; where money moves nothing starts (G17)."""
    environ = {"SECRETS_SOURCE": "file", "STRIPE_WEBHOOK_SECRETS": write("s", SECRET, 0o644)}
    assert config.load(environ, Role.WEBHOOK_RECEIVER).stripe_webhook_secrets
    assert config.open_files(environ, Role.WEBHOOK_RECEIVER) == ("STRIPE_WEBHOOK_SECRETS",)
    assert config.open_files(environ, Role.WORKER) == ()
    said = refusal(Role.WEBHOOK_RECEIVER, MODE="live", STRIPE_WEBHOOK_SECRETS=environ["STRIPE_WEBHOOK_SECRETS"])
    assert said == "STRIPE_WEBHOOK_SECRETS names a file that everybody on this machine may read, and MODE is live"


def test_what_is_shown_of_a_secret_in_a_file_is_where_it_is(write: Write) -> None:
    """The path, never the text."""
    path = write("key", KEY)
    (row,) = [one for one in config.shown({"SECRETS_SOURCE": "file", "STRIPE_KEY": path}) if one.name == "STRIPE_KEY"]
    assert (row.value, row.source) == (path, Source.FILE)


def test_a_signing_secret_may_have_an_end() -> None:
    """It is good up to that moment, and a secret without one for as long as it is set."""
    end = datetime(2026, 12, 1, 12, tzinfo=UTC)
    text = f"{OTHER}, {SECRET} until 2026-12-01T12:00:00Z"
    new, old = config.load({"STRIPE_WEBHOOK_SECRETS": text}, None).stripe_webhook_secrets
    assert [old.is_good(end), old.is_good(end + timedelta(microseconds=1)), new.is_good(end)] == [True, False, True]
    again = ",".join(one.written() for one in (new, old))
    assert config.load({"STRIPE_WEBHOOK_SECRETS": again}, None).stripe_webhook_secrets == (new, old)


@pytest.mark.parametrize("end", ["tomorrow", "2026-12-01T12:00:00", "2026-13-01T12:00:00Z"])
def test_an_end_that_is_no_moment_is_refused(end: str) -> None:
    """A time without a zone is none: it would end an hour early somewhere."""
    with pytest.raises(Misconfigured, match=r"^STRIPE_WEBHOOK_SECRETS must say until when as 2026-12-01T12:00:00Z"):
        config.load({"STRIPE_WEBHOOK_SECRETS": f"{SECRET} until {end}"}, None)
