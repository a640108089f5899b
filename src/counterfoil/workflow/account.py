"""The way to an account at AWS, for whoever sets it up or looks at it; found as by every program with boto3."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from counterfoil.domain.errors import Misconfigured, Refused, Unavailable
from counterfoil.workflow.sdk import Access, client

if TYPE_CHECKING:
    from types_boto3_iam import IAMClient
    from types_boto3_sqs import SQSClient
    from types_boto3_stepfunctions import SFNClient

WAIT_SECONDS: Final = 15
"""IAM takes longer than a queue does, and a person waits for it."""

_WHO: Final = "step-functions"


@dataclass(frozen=True, slots=True)
class Account:
    """The three services, in one region."""

    sqs: "SQSClient"
    step_functions: "SFNClient"
    iam: "IAMClient"


class AwsRefused(Refused):
    """AWS does not do what it was asked; `code` is its own name for why."""

    code: str

    def __init__(self, action: str, code: str, message: str) -> None:
        super().__init__(f"AWS refuses {action}: {code}" + (f" ({message})" if message else ""))
        self.code = code


@contextmanager
def opened(access: Access | None = None) -> Iterator[Account]:
    """Yield the account that boto3 finds, and turn what boto3 raises meanwhile into errors of ours.

    With ``access`` it is the one that these settings of AWS lead to.

    Raises:
        Misconfigured: boto3 is not installed, or nobody says which region, endpoint or credentials are meant.
        Unavailable: AWS does not answer.
        AwsRefused: it does, and refuses.
    """
    region = None if access is None else access["AWS_DEFAULT_REGION"]
    with _told():
        yield Account(
            client("sqs", _WHO, region=region, wait_seconds=WAIT_SECONDS, access=access),
            client("stepfunctions", _WHO, region=region, wait_seconds=WAIT_SECONDS, access=access),
            client("iam", _WHO, region=region, wait_seconds=WAIT_SECONDS, access=access),
        )


@contextmanager
def _told() -> Iterator[None]:
    try:
        from botocore import exceptions as failures  # noqa: PLC0415  an extra, for those who use it
    except ImportError:
        yield  # whoever asks for a client is told
        return
    try:
        yield
    except failures.ClientError as refusal:
        said = refusal.response.get("Error", {})
        code = str(said.get("Code") or "Unknown").rpartition("#")[2]
        message = " ".join(str(said.get("Message") or "").split())
        raise AwsRefused(refusal.operation_name, code, message) from None
    except (failures.NoCredentialsError, failures.PartialCredentialsError, failures.CredentialRetrievalError):
        why = "are missing: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the role of this machine"
        raise Misconfigured("credentials of AWS", why) from None
    except failures.BotoCoreError:
        raise Unavailable("AWS endpoint of AWS_DEFAULT_REGION, or AWS_ENDPOINT_URL,") from None
