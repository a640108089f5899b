"""The state machine as people look at it: drawn from the tables in ``states.py``, so that no picture can be wrong.

Pure text in, text out. ``make diagram`` writes the page; a test says when the page that is checked in is stale.
"""

from collections.abc import Mapping, Sequence
from string import ascii_lowercase
from typing import Final, TypeAlias

from counterfoil.domain.facts import ON_ENTERING
from counterfoil.domain.states import (
    ATTEMPT_MOVES,
    FINAL,
    FREES_THE_ORDER,
    PAYMENT_RULES,
    RANK,
    AttemptHappening,
    AttemptState,
    Ignored,
    PaymentState,
    Standing,
)

Moves: TypeAlias = Mapping[tuple[AttemptState, AttemptHappening], AttemptState | Ignored]
Rules: TypeAlias = Sequence[tuple[Standing, PaymentState]]

IMPOSSIBLE: Final = "✗"

_PAGE: Final = """\
<!-- Generated from src/counterfoil/domain/states.py by `make diagram`. Do not edit: change the tables instead. -->

# States

An *attempt* is one try with the processor. A *payment* is what the client wishes; its state is derived from its
attempts. Both are tables in `src/counterfoil/domain/states.py`, and nothing else moves a payment. This page is drawn
from them.

## An attempt

Each state has a rank, and a happening can only raise it. So the answer to our call, the webhook, a look-up and a
second copy of any of them may come in any order and any number of times: whichever comes second changes nothing.

```mermaid
{diagram}
```

| state | rank |
|---|---|
{ranks}

### Every pair

What becomes of an attempt in the state on the left when the thing on top happens. `claimed` is ours: a process takes
the attempt to send it. All others are heard from the processor, whichever way. A letter means that the happening is
ignored, because of what the letter stands for below; {impossible} means that no sequence of events leads there, and
asking for it raises.

{moves}

| | ignored, because this brings it about |
|---|---|
{reasons}

## A payment

The first rule that holds gives the state. Entering a state says the fact beside it, once. A final state awaits nothing
more; yet captured money outranks everything, so a late success still follows `failed` and `canceled`. An order whose
payment is in a state that frees it may be paid by another payment.

| | if | the payment is | which says | final | frees the order |
|---|---|---|---|---|---|
{rules}

`requested` is said as PaymentRequested when the order is accepted. `processing` is said as PaymentProcessing only when
the processor itself calls the attempt processing, not when we have merely sent it.
"""


def states_page(moves: Moves = ATTEMPT_MOVES, rules: Rules = PAYMENT_RULES) -> str:
    """Return the whole page ``docs/concepts/states.md``, in Markdown."""
    return _PAGE.format(
        diagram=attempt_diagram(moves),
        ranks="\n".join(f"| `{state}` | {rank} |" for state, rank in sorted(RANK.items(), key=lambda item: item[1])),
        impossible=IMPOSSIBLE,
        moves=moves_table(moves),
        reasons="\n".join(f"| {letter} | {because} |" for because, letter in _letters(moves).items()),
        rules=rules_table(rules),
    )


def attempt_diagram(moves: Moves = ATTEMPT_MOVES) -> str:
    """Return a Mermaid state diagram of every move that changes an attempt's state, one arrow for each two states."""
    arrows: dict[tuple[AttemptState, AttemptState], list[str]] = {}
    for (state, happening), after in moves.items():
        if not isinstance(after, Ignored):
            arrows.setdefault((state, after), []).append(happening.value)
    lines = ["stateDiagram-v2", f"    [*] --> {AttemptState.QUEUED}"]
    lines += [f"    {state} --> {after}: {', '.join(happenings)}" for (state, after), happenings in arrows.items()]
    left = {state for state, _ in arrows}
    lines += [f"    {state} --> [*]" for state in AttemptState if state not in left]
    return "\n".join(lines)


def moves_table(moves: Moves = ATTEMPT_MOVES) -> str:
    """Return a Markdown table of all pairs: states down, happenings across."""
    letters = _letters(moves)
    head = ["", *(f"`{happening}`" for happening in AttemptHappening)]
    rows = [
        [f"`{state}`", *(_cell(moves.get((state, happening)), letters) for happening in AttemptHappening)]
        for state in AttemptState
    ]
    return "\n".join(_row(cells) for cells in (head, ["---"] * len(head), *rows))


def rules_table(rules: Rules = PAYMENT_RULES) -> str:
    """Return the rows of a Markdown table of the rules, in the order in which they are tried."""
    return "\n".join(
        _row(
            [
                str(number),
                standing.value,
                f"`{state}`",
                ON_ENTERING[state].value if state in ON_ENTERING else "",
                "yes" if state in FINAL else "",
                "yes" if state in FREES_THE_ORDER else "",
            ]
        )
        for number, (standing, state) in enumerate(rules, 1)
    )


def _letters(moves: Moves) -> dict[str, str]:
    """Return a letter for each reason to ignore a happening, in the order of the table."""
    reasons = dict.fromkeys(after.because for after in moves.values() if isinstance(after, Ignored))
    return dict(zip(reasons, ascii_lowercase, strict=False))


def _cell(after: AttemptState | Ignored | None, letters: Mapping[str, str]) -> str:
    if after is None:
        return IMPOSSIBLE
    return letters[after.because] if isinstance(after, Ignored) else f"**{after}**"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
