import pytest

from counterfoil.messages.trace_context import passed_on

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    "given",
    [
        TRACE,
        TRACE[:-1] + "0",
        TRACE[:-2] + "ff",
        "cc" + TRACE[2:],
        "01" + TRACE[2:] + "-what-the-future-will-be-like",
        "01" + TRACE[2:] + "-",
    ],
)
def test_a_well_formed_trace_is_passed_on_as_it_came(given: str) -> None:
    """Whatever its flags say; a version later than ours may have more at its end."""
    assert passed_on(given) == given


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        TRACE.upper(),
        TRACE + "-00",
        TRACE + "\n",
        " " + TRACE,
        "ff" + TRACE[2:],
        "0" + TRACE,
        TRACE.replace("-", "_"),
        TRACE[:-1],
        "00-" + "0" * 32 + TRACE[35:],
        TRACE[:36] + "0" * 16 + TRACE[52:],
        TRACE.replace("4bf", "4bg"),
        TRACE.replace("4", "٤"),
        "01" + TRACE[2:] + "x",
        "01" + TRACE[2:] + "-" + "x" * 255,
        "01" + TRACE[2:] + "-a b",
        f"{TRACE},{TRACE}",
    ],
)
def test_what_is_not_well_formed_is_passed_over(given: str | None) -> None:
    """As the standard demands: whoever got it begins anew, and a trace is no reason to refuse an order."""
    assert passed_on(given) is None
