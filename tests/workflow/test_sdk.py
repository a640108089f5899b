"""boto3 and what its errors mean, from its own classes."""

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from counterfoil.domain.errors import Misconfigured
from counterfoil.workflow.sdk import Failure, client, failure_of, region_of


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://sqs.eu-central-1.amazonaws.com/123456789012/tasks", "eu-central-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/tasks", "cn-north-1"),
        ("http://127.0.0.1:5000/123456789012/tasks", None),
        ("http://sqs.example/123456789012/tasks", None),
    ],
)
def test_the_address_of_a_queue_names_its_region(url: str, region: str | None) -> None:
    """Where it is AWS's own; elsewhere boto3's settings say."""
    assert region_of(url) == region


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("TaskTimedOut", "TaskTimedOut"),
        ("com.amazonaws.swf.service.v2.model#InvalidToken", "InvalidToken"),
        ("AWS.SimpleQueueService.NonExistentQueue", "NonExistentQueue"),
        ("", "Unknown"),
    ],
)
def test_a_refusal_has_a_code_whichever_way_it_is_written(code: str, expected: str) -> None:
    """With the service's name before it, or without."""
    error = ClientError({"Error": {"Code": code, "Message": "token-1 is no good"}}, "SendTaskSuccess")
    assert failure_of(error) == Failure(expected, f"AWS refuses it ({expected})")


def test_what_never_arrived_has_none() -> None:
    """No connection, no credentials: it may be said again."""
    silent = EndpointConnectionError(endpoint_url="http://127.0.0.1:9")
    assert failure_of(silent) == Failure(None, "AWS was not reached (EndpointConnectionError)")
    assert failure_of(NoCredentialsError()) == Failure(None, "AWS was not reached (NoCredentialsError)")


def test_an_error_of_ours_is_none_of_its_own() -> None:
    """A mistake is not to be tried again in silence."""
    assert failure_of(TypeError("a mistake")) is None


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("AWS_DEFAULT_REGION", "", "THE_SETTING does not say which AWS region is meant: set AWS_DEFAULT_REGION"),
        ("AWS_PROFILE", "nobody", "AWS_PROFILE is of no profile there is"),
        ("AWS_ENDPOINT_URL", "no address", "AWS_ENDPOINT_URL is no address of a server"),
    ],
)
def test_an_environment_that_names_no_account_is_said_so(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    """A worker exits with this line, rather than with boto3's."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv(name, value)
    if not value:
        monkeypatch.delenv(name)
    with pytest.raises(Misconfigured, match="^" + sentence.replace(".", r"\.") + "$"):
        client("sqs", "THE_SETTING", region=None)
