"""What is counted and measured, by the names it has at ``/metrics``."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY: Final = CollectorRegistry()
"""Ours alone: the library's own default registry would add what nobody here looks at."""

CHARGES: Final = Counter(
    "counterfoil_charges",
    "Answers to whoever asks for money, by HTTP status.",
    ["status"],
    registry=REGISTRY,
)
USUAL_AMOUNT: Final = Gauge(
    "counterfoil_usual_amount",
    "The amount above which no more than one payment in a thousand asks, in minor units.",
    ["currency"],
    registry=REGISTRY,
)
UNUSUAL_AMOUNTS: Final = Counter(
    "counterfoil_unusual_amounts",
    "Payments accepted that ask for more than that.",
    ["currency"],
    registry=REGISTRY,
)
NOTICES_RECEIVED: Final = Counter(
    "counterfoil_notices_received",
    "Webhook deliveries, by what was answered: kept, repeated, quarantined, or the reason of the refusal.",
    ["outcome"],
    registry=REGISTRY,
)
SIGNATURES: Final = Counter(
    "counterfoil_signatures",
    "Deliveries with a good signature, by the place of the secret that made it in STRIPE_WEBHOOK_SECRETS.",
    ["place"],
    registry=REGISTRY,
)
NOTICES_CONCLUDED: Final = Counter(
    "counterfoil_notices_concluded",
    "Notices read, by what became of them.",
    ["state"],
    registry=REGISTRY,
)
NOTICES_WAITING: Final = Gauge("counterfoil_notices_waiting", "Notices not read yet.", registry=REGISTRY)
OLDEST_NOTICE_SECONDS: Final = Gauge(
    "counterfoil_oldest_notice_seconds",
    "Age of the oldest notice not read yet.",
    registry=REGISTRY,
)
PARKED_NOTICES: Final = Gauge(
    "counterfoil_parked_notices",
    "Notices that wait for the payment they name, or for a person.",
    ["waits_for"],
    registry=REGISTRY,
)
OLDEST_PARKED_SECONDS: Final = Gauge(
    "counterfoil_oldest_parked_notice_seconds",
    "Age of the oldest notice that waits so.",
    ["waits_for"],
    registry=REGISTRY,
)
CATCH_UP_MISSING: Final = Counter(
    "counterfoil_catch_up_missing",
    "Events about payments of ours that were listed by the processor and never delivered, by type.",
    ["type"],
    registry=REGISTRY,
)
CATCH_UP_BEHIND: Final = Gauge(
    "counterfoil_catch_up_behind_seconds",
    "For how long the processor's list of events was not looked through to its end.",
    registry=REGISTRY,
)
FACTS_PUBLISHED: Final = Counter("counterfoil_facts_published", "Facts that got their position.", registry=REGISTRY)
FACTS_UNDELIVERED: Final = Gauge(
    "counterfoil_facts_undelivered", "Published facts that no broker took, for good.", registry=REGISTRY
)
OUTBOX_WAITING: Final = Gauge("counterfoil_outbox_waiting", "Facts without their position yet.", registry=REGISTRY)
SOURCE_USABLE: Final = Gauge(
    "counterfoil_source_usable",
    "Whether the outbox of another service can be read.",
    ["source"],
    registry=REGISTRY,
)
SOURCE_LEADS: Final = Gauge(
    "counterfoil_source_leads",
    "Whether this publisher sends the rows of that outbox.",
    ["source"],
    registry=REGISTRY,
)
SOURCE_PUBLISHED: Final = Counter(
    "counterfoil_source_published",
    "Its rows that were marked published.",
    ["source"],
    registry=REGISTRY,
)
SOURCE_PARKED: Final = Counter(
    "counterfoil_source_parked",
    "Those among them that were too large, of which there is but a dead letter.",
    ["source"],
    registry=REGISTRY,
)
SOURCE_UNDELIVERED: Final = Counter(
    "counterfoil_source_undelivered",
    "Times that a row did not arrive, and was to be sent again.",
    ["source", "why"],
    registry=REGISTRY,
)
SOURCE_WAITING: Final = Gauge("counterfoil_source_waiting", "Its rows to be sent.", ["source"], registry=REGISTRY)
SOURCE_OLDEST_SECONDS: Final = Gauge(
    "counterfoil_source_oldest_seconds",
    "Age of the oldest of them.",
    ["source"],
    registry=REGISTRY,
)
SOURCE_UNMAPPED: Final = Gauge(
    "counterfoil_source_unmapped",
    "Its unpublished rows of types that no topic is named for.",
    ["source"],
    registry=REGISTRY,
)
MESSAGES_HEARD: Final = Counter(
    "counterfoil_messages_heard",
    "Messages off a topic by what became of them, and their further tries.",
    ["topic", "outcome"],
    registry=REGISTRY,
)
CONSUMER_LAG: Final = Gauge(
    "counterfoil_consumer_lag",
    "Messages of a partition that this process reads and that have not had their effect yet.",
    ["topic", "partition"],
    registry=REGISTRY,
)
DISPATCHES: Final = Counter(
    "counterfoil_dispatches",
    "Orders brought to the gateway, by the HTTP status of its answer; none where there was none.",
    ["status"],
    registry=REGISTRY,
)
DISPATCHER_REFUSED: Final = Gauge(
    "counterfoil_dispatcher_refused",
    "Whether the gateway does not take what this dispatcher brings, by its token or its address.",
    registry=REGISTRY,
)
LEADS: Final = Gauge("counterfoil_publisher_leads", "Whether this publisher leads.", registry=REGISTRY)
FRAUD_CHECKS: Final = Counter(
    "counterfoil_fraud_checks",
    "What was found of payments by fraud checks and by persons.",
    ["finding"],
    registry=REGISTRY,
)
REVIEWS: Final = Gauge("counterfoil_reviews_waiting", "Payments that wait for a person.", registry=REGISTRY)
PROCESSOR_CALLS: Final = Counter(
    "counterfoil_processor_calls",
    "Attempts sent and look-ups made, by the outcome heard.",
    ["call", "outcome"],
    registry=REGISTRY,
)
PAUSED: Final = Gauge(
    "counterfoil_processor_paused",
    "Whether nothing is sent because the processor refuses our key.",
    registry=REGISTRY,
)
BUDGET_TOKENS: Final = Gauge(
    "counterfoil_budget_tokens",
    "Calls that the processor still took when this process last asked the shared budget.",
    registry=REGISTRY,
)
BUDGET_WAITS: Final = Histogram(
    "counterfoil_budget_wait_seconds",
    "What calls waited for their turn in the shared budget, by what they were for.",
    ["priority"],
    buckets=(0.001, 0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 20),
    registry=REGISTRY,
)
OVERDRAWN: Final = Counter(
    "counterfoil_budget_overdrawn",
    "Charges that were sent although the budget had nothing left, or could not be asked.",
    registry=REGISTRY,
)
RATE_LIMITED: Final = Counter(
    "counterfoil_rate_limited",
    "Calls that the processor refused because there were too many, by the limit it named.",
    ["reason"],
    registry=REGISTRY,
)
IN_DOUBT: Final = Gauge(
    "counterfoil_in_doubt_payments",
    "Payments whose outcome has been unknown for too long.",
    ["currency"],
    registry=REGISTRY,
)
AMOUNT_IN_DOUBT: Final = Gauge(
    "counterfoil_in_doubt_amount",
    "What they ask for, in minor units.",
    ["currency"],
    registry=REGISTRY,
)
OLDEST_OPEN_SECONDS: Final = Gauge(
    "counterfoil_oldest_open_payment_seconds",
    "Age of the oldest payment that is not final.",
    registry=REGISTRY,
)
OLDEST_CLAIM_SECONDS: Final = Gauge(
    "counterfoil_oldest_claim_seconds",
    "Age of the oldest claim on an attempt; a claim ends after 120 s, and a worker takes it over.",
    registry=REGISTRY,
)
EFFECTS: Final = Counter(
    "counterfoil_effects",
    "Tries of what follows from a payment's end, by how it stands after them.",
    ["kind", "state"],
    registry=REGISTRY,
)
PARKED_EFFECTS: Final = Gauge(
    "counterfoil_parked_effects",
    "Effects that wait for a person.",
    registry=REGISTRY,
)
TASKS_HEARD: Final = Counter(
    "counterfoil_tasks_heard",
    "Messages of state machines off their queue, by what became of them.",
    ["outcome"],
    registry=REGISTRY,
)
TASK_TOKENS: Final = Counter(
    "counterfoil_task_tokens",
    "Task tokens of state machines that ended, by how.",
    ["step", "outcome"],
    registry=REGISTRY,
)
LIVE_TASK_TOKENS: Final = Gauge(
    "counterfoil_live_task_tokens", "Task tokens that a state machine waits on.", registry=REGISTRY
)
OLDEST_TASK_TOKEN_SECONDS: Final = Gauge(
    "counterfoil_oldest_live_task_token_seconds", "Age of the oldest of them.", registry=REGISTRY
)
PARKED_TASK_TOKENS: Final = Gauge(
    "counterfoil_parked_task_tokens", "Task tokens whose answer could not be sent, for good.", registry=REGISTRY
)
OPEN_REFUNDS: Final = Gauge(
    "counterfoil_open_refunds",
    "Refunds that are not given back yet.",
    ["state"],
    registry=REGISTRY,
)
OLDEST_REFUND_SECONDS: Final = Gauge(
    "counterfoil_oldest_open_refund_seconds",
    "Age of the oldest refund that is not given back yet.",
    ["state"],
    registry=REGISTRY,
)
ALARMS: Final = Counter(
    "counterfoil_alarms",
    "What a person must look at, by where it was noticed.",
    ["where"],
    registry=REGISTRY,
)
BATCH_SIZE: Final = Histogram(
    "counterfoil_batch_size",
    "Items committed together, by batch.",
    ["batch"],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
    registry=REGISTRY,
)
DIFFERENCES: Final = Gauge(
    "counterfoil_reconciliation_differences",
    "Differences that the last finished reconciliation left for a person, by verdict.",
    ["verdict"],
    registry=REGISTRY,
)
RECONCILIATION_AGE_SECONDS: Final = Gauge(
    "counterfoil_last_reconciliation_seconds",
    "How long ago the reconciliation that finished last was asked for.",
    registry=REGISTRY,
)
LOOK_UP_ONLY: Final = Gauge(
    "counterfoil_look_up_only",
    "Whether nothing is sent because the database was restored and has not caught up yet.",
    registry=REGISTRY,
)
