"""Step Functions, SQS and IAM for tests: moto's server as a process, and what is asked of it."""

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import boto3
import httpx
from tests.stage import free_port, until

from counterfoil.workflow import local

if TYPE_CHECKING:
    from types_boto3_iam import IAMClient
    from types_boto3_sqs import SQSClient
    from types_boto3_stepfunctions import SFNClient

RUNNING = "RUNNING"


@dataclass(frozen=True)
class Aws:
    """A server at work, with machines carried out on the machine's own clock; `log_file` is what it said."""

    port: int
    log_file: Path

    @property
    def url(self) -> str:
        """For `AWS_ENDPOINT_URL`."""
        return local.url(self.port)

    @property
    def settings(self) -> Mapping[str, str]:
        """What a process has in its environment so that boto3 finds this server."""
        return local.access(self.port)

    @cached_property
    def step_functions(self) -> "SFNClient":
        """A client of Step Functions."""
        return self._session().client("stepfunctions", endpoint_url=self.url)

    @cached_property
    def sqs(self) -> "SQSClient":
        """A client of SQS."""
        return self._session().client("sqs", endpoint_url=self.url)

    @cached_property
    def iam(self) -> "IAMClient":
        """A client of IAM."""
        return self._session().client("iam", endpoint_url=self.url)

    def machine(self, name: str, definition: Mapping[str, Any]) -> str:
        """Make a STANDARD machine as it is written; return its ARN."""
        made = self.step_functions.create_state_machine(
            name=name,
            definition=json.dumps(definition),
            roleArn=f"arn:aws:iam::{local.ACCOUNT}:role/{name}",
        )
        return made["stateMachineArn"]

    def execution(self, machine: str, name: str, given: object) -> "Execution":
        """Start an execution; `given` is its input, text being taken as it is."""
        text = given if isinstance(given, str) else json.dumps(given)
        started = self.step_functions.start_execution(stateMachineArn=machine, name=name, input=text)
        return Execution(self.step_functions, started["executionArn"])

    def _session(self) -> boto3.Session:
        return boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=local.REGION)


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution, and what became of it."""

    client: "SFNClient"
    arn: str

    def described(self) -> Mapping[str, Any]:
        """Return what Step Functions says of it now."""
        return dict(self.client.describe_execution(executionArn=self.arn))

    def ended(self, *, seconds: float = 30.0) -> Mapping[str, Any]:
        """Return what Step Functions says of it once it has ended; fails when it has not within so many seconds."""
        until(lambda: self.described()["status"] != RUNNING, seconds=seconds)
        return self.described()

    async def ends(self, *, seconds: float = 30.0) -> Mapping[str, Any]:
        """Return `ended`, while the test's own loop goes on."""
        return await asyncio.to_thread(lambda: self.ended(seconds=seconds))

    def events(self) -> list[dict[str, Any]]:
        """Return its history, the first event first."""
        pages = self.client.get_paginator("get_execution_history").paginate(executionArn=self.arn)
        return [dict(event) for page in pages for event in page["events"]]

    def entered(self) -> list[str]:
        """Return the names of the states that were entered, in order."""
        return [event["stateEnteredEventDetails"]["name"] for event in self.events() if _ENTERED in event["type"]]


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue, read by the test."""

    client: "SQSClient"
    url: str

    @classmethod
    def made(cls, aws: Aws, name: str) -> Self:
        """Make a queue as it comes."""
        return cls(aws.sqs, aws.sqs.create_queue(QueueName=name)["QueueUrl"])

    def taken(self, *, seconds: float = 15.0) -> dict[str, Any]:
        """Return the next message's body, and delete it; fails when none comes within so many seconds."""
        deadline = time.monotonic() + seconds  # noqa: TID251 - a server lives by the machine's clock
        while time.monotonic() < deadline:  # noqa: TID251 - the same
            answer = self.client.receive_message(QueueUrl=self.url, MaxNumberOfMessages=1, WaitTimeSeconds=1)
            for message in answer.get("Messages", []):
                self.client.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
                body = json.loads(message["Body"])
                assert isinstance(body, dict)
                return body
        raise AssertionError("waited in vain for a message")

    def is_empty(self) -> bool:
        """Return whether nothing is on it and nobody has anything of it in hand."""
        names: list[Any] = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return all(int(found[name]) == 0 for name in names)


@contextmanager
def server(folder: Path) -> Iterator[Aws]:
    """Run a server that carries machines out; it ends with the context, and what it knew with it."""
    port, log_file = free_port(), folder / "aws.log"
    with (
        log_file.open("wb") as output,
        subprocess.Popen(
            local.command(port),
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC", **local.surroundings(port)},
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            until(lambda: _listens(process, port, log_file.read_text), seconds=60)
            local.switch_on(port)
            yield Aws(port, log_file)
        finally:
            process.kill()


def _listens(process: "subprocess.Popen[bytes]", port: int, log: Callable[[], str]) -> bool:
    assert process.poll() is None, log()
    try:
        return httpx.get(local.health_url(port), trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


_ENTERED = "StateEntered"
