"""The way to an account at AWS, for whoever sets it up or looks at it; found as by every program with boto3."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from counterfoil.domain.errors import Misconfigured, Refused, Unavailable

if TYPE_CHECKING:
    from types_boto3_iam import IAMClient
    from types_boto3_sqs import SQSClient
    from types_boto3_stepfunctions import SFNClient

CONNECT_SECONDS: Final = 5
"""AWS answers in milliseconds; what has not connected by then is not there."""

READ_SECONDS: Final = 20

TRIES: Final = 3
"""A person waits for the answer: not for long."""


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
def opened() -> Iterator[Account]:
    """Yield the account that boto3 finds, and turn what boto3 raises meanwhile into errors of ours.

    Raises:
        Misconfigured: boto3 is not installed, or nobody says which region, endpoint or credentials are meant.
        Unavailable: AWS does not answer.
        AwsRefused: it does, and refuses.
    """
    try:
        import boto3  # noqa: PLC0415  an extra, for those who use it
        from botocore import exceptions as failures  # noqa: PLC0415  the same
        from botocore.config import Config  # noqa: PLC0415  the same
    except ImportError:
        raise Misconfigured("boto3", "is not installed: pip install 'counterfoil[aws]'") from None
    retries = {"total_max_attempts": TRIES, "mode": "standard"}
    try:
        session = boto3.Session()
        config = Config(connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, retries=retries)  # type: ignore[arg-type]  # its stubs want a literal
        yield Account(
            session.client("sqs", config=config),
            session.client("stepfunctions", config=config),
            session.client("iam", config=config),
        )
    except failures.ClientError as refusal:
        said = refusal.response.get("Error", {})
        code = str(said.get("Code") or "Unknown").rpartition("#")[2]
        message = " ".join(str(said.get("Message") or "").split())
        raise AwsRefused(refusal.operation_name, code, message) from None
    except failures.NoRegionError:
        raise Misconfigured("AWS_DEFAULT_REGION", "is missing: which region of AWS is meant") from None
    except failures.ProfileNotFound:
        raise Misconfigured("AWS_PROFILE", "is of no profile there is") from None
    except (failures.NoCredentialsError, failures.PartialCredentialsError, failures.CredentialRetrievalError):
        why = "are missing: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the role of this machine"
        raise Misconfigured("credentials of AWS", why) from None
    except ValueError as malformed:  # botocore's word for an endpoint that is none
        if "endpoint" not in str(malformed):
            raise
        raise Misconfigured("AWS_ENDPOINT_URL", "is no address of a server") from None
    except failures.BotoCoreError:
        raise Unavailable("AWS endpoint") from None
