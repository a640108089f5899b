"""The commands as processes of their own, at a Step Functions and SQS that carry machines out."""

import itertools
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.aws import Aws, Execution, Queue

from counterfoil.workflow import machine, resources
from counterfoil.workflow.executions import name_of
from counterfoil.workflow.resources import Names

Command = Callable[..., subprocess.CompletedProcess[str]]
Run = Callable[..., subprocess.CompletedProcess[str]]

_NUMBERS = itertools.count(1)


@pytest.fixture
def name() -> str:
    """What is made by this test is called so."""
    return f"cli-{next(_NUMBERS)}"


@pytest.fixture
def run(counterfoil: Command, aws: Aws, name: str) -> Run:
    """Run `counterfoil step-functions` on this test's own name; what it says on success is its output."""

    def run(command: str, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = counterfoil("step-functions", command, *arguments, "--name", name, settings=dict(aws.settings))
        assert done.returncode == code, done.stderr
        return done

    return run


def order(event: str, *more: str) -> list[str]:
    return ["--amount", "1999", "--currency", "EUR", "--order", "order-1", "--event", event, *more]


def test_deploying_makes_everything_and_says_what_to_set(aws: Aws, run: Run, name: str) -> None:
    """Queue, queue of dead letters, role, the worker's policy and the machine; the last line is for the worker."""
    done = run("deploy")

    url = aws.sqs.get_queue_url(QueueName=f"{name}-tasks")["QueueUrl"]
    dead = aws.sqs.get_queue_url(QueueName=f"{name}-tasks-dead")["QueueUrl"]
    about = aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    dead_arn = aws.sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    assert done.stdout.splitlines()[-1] == f"STEP_FUNCTIONS_QUEUE_URL={url}"
    assert about["VisibilityTimeout"] == "60"
    assert json.loads(about["RedrivePolicy"]) == {"deadLetterTargetArn": dead_arn, "maxReceiveCount": 8}
    found = aws.step_functions.describe_state_machine(
        stateMachineArn=f"arn:aws:states:eu-central-1:123456789012:stateMachine:{name}"
    )
    assert (found["type"], found["definition"]) == ("STANDARD", machine.rendered(url))
    role = aws.iam.get_role(RoleName=f"{name}-machine")["Role"]
    assert found["roleArn"] == role["Arn"]
    inline = aws.iam.get_role_policy(RoleName=f"{name}-machine", PolicyName="send-tasks")["PolicyDocument"]
    assert inline == resources.machine_policy(about["QueueArn"])


def test_deploying_twice_changes_nothing(run: Run) -> None:
    """What is there is left as it is, and named."""
    first = json.loads(run("deploy", "--json").stdout)
    second = json.loads(run("deploy", "--json").stdout)

    assert {one["done"] for one in first["made"]} == {"made"}
    assert {one["done"] for one in second["made"]} == {"unchanged"}
    assert {**first, "made": []} == {**second, "made": []}


def test_deploying_brings_up_to_date_what_differs(aws: Aws, run: Run, name: str) -> None:
    """Somebody changed the queue, the machine and both policies: they are ours again, and nothing else was touched."""
    made = json.loads(run("deploy", "--json").stdout)
    aws.sqs.set_queue_attributes(QueueUrl=made["queue_url"], Attributes={"VisibilityTimeout": "5"})
    aws.step_functions.update_state_machine(
        stateMachineArn=made["machine"], definition='{"StartAt": "E", "States": {"E": {"Type": "Succeed"}}}'
    )
    anything = json.dumps(resources.machine_policy("*"))
    aws.iam.put_role_policy(RoleName=f"{name}-machine", PolicyName="send-tasks", PolicyDocument=anything)
    for _ in range(4):  # as many versions as IAM keeps
        aws.iam.create_policy_version(PolicyArn=made["worker_policy_arn"], PolicyDocument=anything, SetAsDefault=True)

    again = json.loads(run("deploy", "--json").stdout)

    assert {one["name"]: one["done"] for one in again["made"]} == {
        f"{name}-tasks-dead": "unchanged",
        f"{name}-tasks": "updated",
        f"{name}-machine": "updated",
        f"{name}-worker": "updated",
        name: "updated",
    }
    assert {one["done"] for one in json.loads(run("deploy", "--json").stdout)["made"]} == {"unchanged"}


def test_a_role_that_others_made_is_taken_and_iam_left_alone(aws: Aws, run: Run, name: str) -> None:
    """For those who may not make roles: the policies that it and the worker need are printed instead."""
    arn = "arn:aws:iam::123456789012:role/made-by-others"
    done = run("deploy", "--role-arn", arn)
    again = json.loads(run("deploy", "--role-arn", arn, "--json").stdout)

    assert '"sqs:SendMessage"' in done.stdout
    assert '"states:SendTaskSuccess"' in done.stdout
    assert again["role"] == arn
    assert [one["name"] for one in again["made"]] == [f"{name}-tasks-dead", f"{name}-tasks", name]
    with pytest.raises(aws.iam.exceptions.NoSuchEntityException):
        aws.iam.get_role(RoleName=f"{name}-machine")


def test_starting_prints_the_execution_and_sends_the_order(aws: Aws, run: Run, name: str) -> None:
    """Everything that the options say is on the queue, in the machine's words."""
    made = json.loads(run("deploy", "--json").stdout)
    more = ["--customer", "c-1", "--email", "c@shop.example", "--locale", "de", "--card", "visa", "--item", "shirt:m:2"]
    done = run("start", *order("event-1", *more, "--off-session", "--timeout", "payment=900", "--timeout", "retry=5"))

    assert done.stdout == f"arn:aws:states:eu-central-1:123456789012:execution:{name}:event-1\n"
    message = Queue(aws.sqs, made["queue_url"]).taken()
    assert message["step"] == "payment"
    assert message["input"] == {
        "event_id": "event-1",
        "order_id": "order-1",
        "amount": 1999,
        "currency": "EUR",
        "customer": {"id": "c-1", "email": "c@shop.example", "locale": "de"},
        "payment_method": {"type": "card", "id": "pm_card_visa"},
        "off_session": True,
        "items": [{"sku": "shirt:m", "quantity": 2}],
        "timeouts": {"payment_seconds": 900, "retry_seconds": 5},
    }


def test_the_same_event_has_one_execution(aws: Aws, run: Run) -> None:
    """A second start prints the first one's ARN, also once that has ended; another amount is refused."""
    run("deploy")
    first = run("start", *order("event-2"))
    second = run("start", *order("event-2"))
    aws.step_functions.stop_execution(executionArn=first.stdout.strip())
    third = json.loads(run("start", *order("event-2"), "--json").stdout)
    other = run("start", "--amount", "5", "--currency", "EUR", "--order", "order-1", "--event", "event-2", code=1)

    assert second.stdout == first.stdout
    assert "started before" in second.stderr
    assert third == {"execution": first.stdout.strip(), "name": "event-2", "again": True}
    assert other.stderr == (
        "counterfoil: this event was started before, with another input (amount): "
        "say the same again, or take another --event\n"
    )


@pytest.mark.parametrize("event", ["a b", "ключ", "x" * 81, "a/b", "sha256-1"])
def test_an_event_id_that_names_no_execution_stands_for_one_all_the_same(event: str) -> None:
    """Its hash does, and never that of a plain id."""
    assert name_of(event) != event
    assert len(name_of(event)) <= 80
    assert name_of("plain_1-a") == "plain_1-a"


def test_what_others_start_runs_as_well(aws: Aws, run: Run) -> None:
    """`aws stepfunctions start-execution` says these two words and no more; its name is then AWS's."""
    made = json.loads(run("deploy", "--json").stdout)
    whole = {"event_id": "event-3", "order_id": "order-3", "amount": 500, "currency": "EUR"}
    started = aws.step_functions.start_execution(stateMachineArn=made["machine"], input=json.dumps(whole))

    assert Queue(aws.sqs, made["queue_url"]).taken()["input"] == whole
    shown = json.loads(run("status", started["executionArn"], "--json").stdout)
    assert shown["status"] == "RUNNING"


def test_status_tells_how_an_execution_stands(aws: Aws, run: Run) -> None:
    """By its event's id; an end without money has its error and cause."""
    made = json.loads(run("deploy", "--json").stdout)
    run("start", *order("event-4", "--timeout", "payment=3", "--timeout", "heartbeat=9"))
    Execution(aws.step_functions, f"{made['machine'].replace('stateMachine', 'execution')}:event-4").ended()
    shown = json.loads(run("status", "event-4", "--json").stdout)
    overview = run("status")

    assert (shown["status"], shown["error"]) == ("FAILED", "InvalidInput")
    assert "timeouts.heartbeat_seconds (9)" in shown["cause"]
    assert "timeouts.heartbeat_seconds (9)" in run("status", "event-4").stdout
    lines = [" ".join(line.split()) for line in overview.stdout.splitlines()]
    assert lines[1:3] == ["messages 0 waiting, 0 in hand", "dead letters 0"]
    assert any(line.startswith("event-4 FAILED") for line in lines)


def test_status_counts_what_waits(aws: Aws, run: Run, name: str) -> None:
    """Messages on the queue, in a worker's hand, and dead."""
    run("deploy")
    dead = aws.sqs.get_queue_url(QueueName=f"{name}-tasks-dead")["QueueUrl"]
    aws.sqs.send_message(QueueUrl=dead, MessageBody="no task")
    run("start", *order("event-5"))
    found = json.loads(run("status", "--json").stdout)

    assert found["queue"] == {"waiting": 1, "in_hand": 0, "dead_letters": 1}
    assert [(one["name"], one["status"]) for one in found["executions"]] == [("event-5", "RUNNING")]


def test_history_tells_everything_but_tokens(aws: Aws, run: Run) -> None:
    """Whoever has a task token may answer in the worker's place."""
    made = json.loads(run("deploy", "--json").stdout)
    run("start", *order("event-6"))
    token = Queue(aws.sqs, made["queue_url"]).taken()["task_token"]
    shown, whole = run("history", "event-6"), run("history", "event-6", "--json")

    rows = shown.stdout.splitlines()
    assert rows[0].split() == ["at", "event", "state", "why"]
    assert any(line.split()[2:] == ["TaskSubmitted", "RequestPayment"] for line in rows)
    assert token not in shown.stdout + whole.stdout
    (scheduled,) = [one for one in json.loads(whole.stdout) if one["type"] == "TaskScheduled"]
    assert json.loads(scheduled["taskScheduledEventDetails"]["parameters"])["MessageBody"]["input"]["amount"] == 1999


def test_history_tells_why_a_payment_failed(aws: Aws, run: Run) -> None:
    """The cause that the worker gave stands beside the event."""
    made = json.loads(run("deploy", "--json").stdout)
    run("start", *order("event-7"))
    queue = Queue(aws.sqs, made["queue_url"])
    aws.step_functions.send_task_failure(
        taskToken=queue.taken()["task_token"], error="PaymentRefused", cause='{"problem": "amount-refused"}'
    )
    Execution(aws.step_functions, f"{made['machine'].replace('stateMachine', 'execution')}:event-7").ended()

    assert 'PaymentRefused: {"problem": "amount-refused"}' in run("history", "event-7").stdout


def test_a_terminal_is_shown_no_orders_of_its_own(aws: Aws, run: Run) -> None:
    """Whoever answers a token writes its cause: what would clear a screen is shown as what it is."""
    made = json.loads(run("deploy", "--json").stdout)
    run("start", *order("event-11"))
    token = Queue(aws.sqs, made["queue_url"]).taken()["task_token"]
    aws.step_functions.send_task_failure(taskToken=token, error="PaymentRefused", cause="\x1b[2Jgone")
    Execution(aws.step_functions, f"{made['machine'].replace('stateMachine', 'execution')}:event-11").ended()

    for shown in (run("history", "event-11").stdout, run("status", "event-11").stdout):
        assert "\x1b" not in shown
        assert "\N{REPLACEMENT CHARACTER}[2Jgone" in shown


def test_destroying_takes_away_what_was_deployed(aws: Aws, run: Run, name: str) -> None:
    """And nothing else; a second time there is nothing left to take."""
    run("deploy")
    refused = run("destroy", code=2)
    gone = run("destroy", "--yes")

    assert refused.stderr == "counterfoil: say --yes: nobody is there to ask\n"
    assert gone.stdout.splitlines() == [
        f"deleted the machine {name}",
        f"deleted the machine's role {name}-machine",
        f"deleted the worker's policy {name}-worker",
        f"deleted the queue {name}-tasks",
        f"deleted the queue of dead letters {name}-tasks-dead",
    ]
    assert run("destroy", "--yes").stdout == f"nothing of {name} is there\n"
    with pytest.raises(aws.iam.exceptions.NoSuchEntityException):
        aws.iam.get_role(RoleName=Names(name).role)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["start", *order("event-8")], "no such machine"),
        (["status"], "no such machine"),
        (["history", "event-8"], "no such machine"),
        (["status", "event-8"], "no such machine"),
    ],
)
def test_what_was_never_deployed_is_named(run: Run, arguments: list[str], said: str) -> None:
    """One line says what is missing, and the command that makes it."""
    done = run(*arguments, code=1)
    assert said in done.stderr
    assert "counterfoil step-functions deploy --name cli-" in done.stderr


def test_an_execution_that_there_is_not_is_named(run: Run) -> None:
    """One line, and no traceback."""
    run("deploy")
    assert run("status", "event-9", code=1).stderr == "counterfoil: no such execution\n"
    assert run("history", "event-9", code=1).stderr == "counterfoil: no such execution\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--item", "shirt"], "--item is SKU:QUANTITY, as shirt-m:2"),
        (["--timeout", "payment=0"], "--timeout is payment=, heartbeat=, effect= or retry=SECONDS, as payment=259200"),
        (["--name", "a b"], "--name is up to 60 letters, digits, - and _"),
    ],
)
def test_an_option_that_says_nothing_is_refused(counterfoil: Command, arguments: list[str], said: str) -> None:
    """Before AWS is asked anything."""
    done = counterfoil("step-functions", "start", *order("event-10"), *arguments)
    assert (done.returncode, done.stderr) == (2, f"counterfoil: {said}\n")


def test_without_boto3_the_commands_say_what_to_install(counterfoil: Command, aws: Aws, tmp_path: Path) -> None:
    """The extra is optional, and everything else goes on without it."""
    (tmp_path / "boto3.py").write_text("raise ImportError('not here')\n")
    settings = {**aws.settings, "PYTHONPATH": str(tmp_path)}

    done = counterfoil("step-functions", "status", settings=settings)

    assert (done.returncode, done.stderr) == (
        78,
        "counterfoil: step-functions needs boto3, which is not installed: pip install 'counterfoil[aws]'\n",
    )
    assert counterfoil("step-functions", "deploy", "--help", settings=settings).returncode == 0


@pytest.mark.parametrize(
    ("without", "said"),
    [
        (
            ("AWS_REGION", "AWS_DEFAULT_REGION"),
            "step-functions does not say which AWS region is meant: set AWS_DEFAULT_REGION",
        ),
        (
            ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
            (
                "credentials of AWS are missing: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the role "
                "of this machine"
            ),
        ),
    ],
)
def test_what_aws_needs_to_be_told_is_named(
    counterfoil: Command, aws: Aws, without: tuple[str, ...], said: str
) -> None:
    """One line says which setting of AWS's is missing."""
    settings = {name: text for name, text in aws.settings.items() if name not in without}

    done = counterfoil("step-functions", "status", settings=settings)

    assert (done.returncode, done.stderr) == (78, f"counterfoil: {said}\n")


def test_nobody_there_is_unreachable(counterfoil: Command, aws: Aws) -> None:
    """An endpoint that does not answer ends the command with 69."""
    settings = {**aws.settings, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}

    done = counterfoil("step-functions", "deploy", settings=settings)

    assert (done.returncode, done.stderr) == (
        69,
        "counterfoil: the AWS endpoint of AWS_DEFAULT_REGION, or AWS_ENDPOINT_URL, does not answer\n",
    )


def test_an_endpoint_that_is_none_is_named(counterfoil: Command, aws: Aws) -> None:
    """One line names the setting."""
    done = counterfoil("step-functions", "status", settings={**aws.settings, "AWS_ENDPOINT_URL": "nowhere"})

    assert (done.returncode, done.stderr) == (78, "counterfoil: AWS_ENDPOINT_URL is no address of a server\n")
