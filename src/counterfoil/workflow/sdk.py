"""boto3, where it is installed, and what its errors mean to us. Nobody else imports it."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, overload
from urllib.parse import urlsplit

from counterfoil.domain.errors import Misconfigured

if TYPE_CHECKING:
    from types_boto3_iam import IAMClient
    from types_boto3_sqs import SQSClient
    from types_boto3_stepfunctions import SFNClient

_Result = TypeVar("_Result")

Access = Mapping[str, str]
"""Settings of AWS by their names in the environment."""

CONNECT_SECONDS: Final = 3
"""AWS answers in milliseconds: what has not connected by then does not."""

READ_SECONDS: Final = 5
"""Beyond what a call may wait by itself, as a long poll does."""

CONNECTIONS: Final = 20
"""As many as calls are made side by side."""


class Threads:
    """Where calls of boto3 run, for it blocks; apart from those that everything else of the process shares."""

    def __init__(self, most: int = CONNECTIONS) -> None:
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="aws")

    async def run(self, call: Callable[[], _Result]) -> _Result:
        """Return what the call returns, or raise what it raises; one whose caller is gone ends by itself."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    def close(self) -> None:
        """Begin nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call failed: the error's code as AWS names it, or None where no answer came; and a sentence of our own."""

    code: str | None
    sentence: str


@overload
def client(
    kind: Literal["sqs"], setting: str, *, region: str | None, wait_seconds: int = 0, access: "Access | None" = None
) -> "SQSClient": ...
@overload
def client(
    kind: Literal["stepfunctions"],
    setting: str,
    *,
    region: str | None,
    wait_seconds: int = 0,
    access: "Access | None" = None,
) -> "SFNClient": ...
@overload
def client(
    kind: Literal["iam"], setting: str, *, region: str | None, wait_seconds: int = 0, access: "Access | None" = None
) -> "IAMClient": ...
def client(
    kind: str, setting: str, *, region: str | None, wait_seconds: int = 0, access: "Access | None" = None
) -> Any:
    """Return a client that finds its credentials, and whatever else is not said here, as every program with boto3 does.

    Args:
        kind: which of AWS's services.
        setting: whose setting wants it, for the error.
        region: where it is; None leaves it to boto3's own settings.
        wait_seconds: how long a call may wait for its answer by itself.
        access: the endpoint and the credentials, for whoever does not have them in its environment.

    Raises:
        Misconfigured: boto3 is not installed, nobody says which region is meant, or what says it is no good.
    """
    try:
        import boto3  # noqa: PLC0415 - an extra, for those who use it
        from botocore.config import Config  # noqa: PLC0415 - the same
        from botocore.exceptions import NoRegionError, ProfileNotFound  # noqa: PLC0415 - the same
    except ImportError:
        raise Misconfigured(setting, "needs boto3, which is not installed: pip install 'counterfoil[aws]'") from None
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS + wait_seconds,
        # Ours are durable; the SDK's own would only make a call longer than its claim.
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=CONNECTIONS,
    )
    told = {} if access is None else access
    try:
        session = boto3.Session(told.get("AWS_ACCESS_KEY_ID"), told.get("AWS_SECRET_ACCESS_KEY"), region_name=region)
        return session.client(kind, config=config, endpoint_url=told.get("AWS_ENDPOINT_URL"))  # type: ignore[call-overload]  # the overloads above say what each name makes
    except NoRegionError:
        raise Misconfigured(setting, "does not say which AWS region is meant: set AWS_DEFAULT_REGION") from None
    except ProfileNotFound:
        raise Misconfigured("AWS_PROFILE", "is of no profile there is") from None
    except ValueError as malformed:  # botocore's word for an endpoint that is none
        if "endpoint" not in str(malformed):
            raise
        raise Misconfigured("AWS_ENDPOINT_URL", "is no address of a server") from None


def region_of(queue_url: str) -> str | None:
    """Return the region that the address of a queue names, if it does: `sqs.<region>.amazonaws.com`."""
    parts = (urlsplit(queue_url).hostname or "").split(".")
    return parts[1] if parts[0] == "sqs" and len(parts) > _HOST_PARTS and parts[2] == "amazonaws" else None


def failure_of(error: Exception) -> Failure | None:
    """Return what an error that boto3 raised means; None where it is none of its own."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - whoever asks has called boto3

    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code") or "Unknown")
        code = code.rpartition("#")[2].rpartition(".")[2]
        return Failure(code, f"AWS refuses it ({code})")
    if isinstance(error, BotoCoreError):
        return Failure(None, f"AWS was not reached ({type(error).__name__})")
    return None


_HOST_PARTS: Final = 3
