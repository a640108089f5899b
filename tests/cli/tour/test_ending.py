from dataclasses import replace

import pytest

from counterfoil.cli.books import Back, Books, Difference, Entry
from counterfoil.cli.story import Taken
from counterfoil.cli.tour.ending import summary
from counterfoil.cli.tour.playing import CHAPTERS, Played

PAID = Entry("captured", ("pi_1",), "EUR", is_paid=True, charges=1, captured=1999, refunded=500, fee=88)
BOOKS = Books({"a": PAID}, {"re_1": Back("a", 500, "EUR", "processed")})
CHAPTER = CHAPTERS[0]
PLAYED = Played(1, CHAPTER.title, CHAPTER.scenes[0], [Taken("a", "order-1", "tour-1")], None)


@pytest.mark.parametrize(
    ("differing", "why", "agreed"),
    [
        ([], None, True),
        ([Difference("a", "refund re_1: at Stripe, and not with us")], None, False),
        ([], "payment a is failed and was to be succeeded", False),
    ],
)
def test_all_is_well_only_if_nothing_differs_and_no_scene_went_astray(
    differing: list[Difference], why: str | None, *, agreed: bool
) -> None:
    """Either is enough to end otherwise."""
    told = summary(BOOKS, BOOKS, differing, [replace(PLAYED, why=why)])
    assert told["agreed"] is agreed
    assert told["differences"] == [one.sentence for one in differing]


def test_the_summary_has_both_sides_of_everything() -> None:
    """Of a scene its payments, of a payment and a refund what each side has, None where it has nothing."""
    told = summary(BOOKS, Books({}, {}), [], [PLAYED])
    assert told["scenes"] == [
        {
            "number": 1,
            "chapter": "Money that is held",
            "title": "A hold that is taken whole",
            "ended_as_meant": True,
            "why": None,
            "payments": ["a"],
        }
    ]
    ((payment, refund),) = [(told["payments"][0], told["refunds"][0])]
    assert (payment["ours"]["captured"], payment["stripe"]) == (1999, None)
    assert (refund["refund"], refund["ours"]["status"], refund["stripe"]) == ("re_1", "processed", None)
