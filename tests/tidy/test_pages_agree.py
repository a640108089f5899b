"""What the pages list is what the code has: no more, no less, and in the same words where words are shared."""

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch

from counterfoil.cli.exits import ExitCode
from counterfoil.config import SETTINGS, Setting
from counterfoil.domain.facts import FactName
from counterfoil.messages import spoken
from counterfoil.messages.envelope import FactMessage
from counterfoil.processors.stripe.client import StripeProcessor
from counterfoil.roles.gateway.application import application
from counterfoil.roles.gateway.authentication import Doorkeeper
from counterfoil.roles.gateway.charging import Charging
from counterfoil.roles.gateway.routing import Gateway
from counterfoil.roles.problems import Kind
from counterfoil.roles.webhook_receiver import endpoint
from counterfoil.roles.world import World
from counterfoil.runtime import metrics
from counterfoil.runtime.clock import SystemClock
from counterfoil.runtime.ids import TimeOrderedIds
from counterfoil.runtime.shutdown import Shutdown
from counterfoil.store.pool import open_pool

_CELL = re.compile(r"(?<!\\)\|")
_TEST = re.compile(r"`(?P<file>tests/[\w/]+\.py)(?:::(?P<name>test_\w+))?`")
_TREE = re.compile(r"^```text\nsrc/counterfoil/\n(?P<lines>.*?)^```", re.MULTILINE | re.DOTALL)
_ENTRY = re.compile(r"^(?P<indent> +)(?P<name>[\w*]+(?:\.py|/))", re.MULTILINE)

NOWHERE = "postgresql://127.0.0.1:1/nowhere"
"""No connection is made: the routes are read, and none is called."""

MESSAGES = [one for one in vars(spoken).values() if isinstance(one, type) and issubclass(one, FactMessage)]
MESSAGES.remove(FactMessage)


def table(text: str, heading: str) -> list[list[str]]:
    """Return the cells of each row of the table whose first column has that heading."""
    found = re.search(rf"^\| *{re.escape(heading)} *\|.*\n\|[-| ]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert found, f"there is no table headed {heading}"
    return [[cell.strip() for cell in _CELL.split(line)[1:-1]] for line in found[1].splitlines()]


def names(rows: Iterable[list[str]]) -> list[str]:
    """Return what stands in back quotes in the first cells."""
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row[0])]


def section(text: str, heading: str) -> str:
    """Return what stands under a heading, up to the next of its kind; empty where there is none."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def setting_row(setting: Setting) -> list[str]:
    also = f" (also `{setting.alias}`)" if setting.alias else ""
    default = f"`{setting.default}`" if setting.default is not None else ""
    needed = ", ".join(sorted(role.value for role in setting.needed_by))
    return [f"`{setting.name}`{also}", default, needed, "yes" if setting.secret else "", setting.purpose]


def untold_messages(page: str) -> list[str]:
    """Return the messages of which the page tells other fields than they have."""
    common = set(names(table(section(page, "In every message"), "Field")))
    assert common == set(FactMessage.model_fields)
    wrong = []
    for message in MESSAGES:
        told = section(page, f"{message.__name__} {message.schema_version}")
        own = set(message.model_fields) - common
        if not told or set(names(table(told, "Field"))) != own:
            wrong.append(message.__name__)
    return wrong


def missing_tests(tree: Mapping[str, str]) -> list[str]:
    """Return every test that a page names and that there is not."""
    return [
        f"{path}: {match[0]}"
        for path, text in tree.items()
        if path.endswith(".md")
        for match in _TEST.finditer(text)
        if match["file"] not in tree or (match["name"] and f"def {match['name']}(" not in tree[match["file"]])
    ]


def misplaced_in_the_map(page: str, modules: Iterable[str]) -> list[str]:
    """Return the modules that the page's tree leaves out, and its entries that lead to none."""
    drawn = _TREE.search(page)
    assert drawn, "there is no tree"
    folders: dict[int, str] = {}
    entries = []
    for match in _ENTRY.finditer(drawn["lines"]):
        depth = len(match["indent"]) // 2
        parent = folders.get(depth - 1, "")
        if match["name"].endswith("/"):
            folders = {level: path for level, path in folders.items() if level < depth} | {
                depth: parent + match["name"]
            }
        else:
            entries.append(parent + match["name"])
    there = list(modules)
    missing = [module for module in there if not any(fnmatch(module, entry) for entry in entries)]
    return missing + [entry for entry in entries if not any(fnmatch(module, entry) for module in there)]


def test_the_settings_are_told_in_the_codes_own_words(tree: Mapping[str, str]) -> None:
    """Name, other name, default, who needs it, whether it is a secret, and what it is for."""
    assert [setting_row(setting) for setting in SETTINGS] == table(tree["docs/settings.md"], "Setting")


def test_every_fact_is_told_with_its_fields(tree: Mapping[str, str]) -> None:
    """One section for each message, with its version, and each field in it."""
    assert set(FactName) == {message.__name__ for message in MESSAGES}
    assert untold_messages(tree["docs/messages.md"]) == []


def test_every_problem_is_told_with_its_status(tree: Mapping[str, str]) -> None:
    """Kinds in the order of the code, so that nobody has to look them up there."""
    expected = [(kind.value[0], str(kind.status)) for kind in Kind]
    rows = table(tree["docs/http-api.md"], "Problem")
    assert expected == [(name, row[1]) for row in rows for name in names([row])]


async def test_every_route_of_the_gateway_is_told(tree: Mapping[str, str]) -> None:
    """Method and path, as the gateway's own OpenAPI document has them."""
    clock = SystemClock()
    async with open_pool(NOWHERE, name="routes", largest=1) as pool:
        world, shutdown = World(pool, clock, TimeOrderedIds(clock)), Shutdown()
        processor = StripeProcessor("sk_test_routes", livemode=False)
        charging = Charging(world, processor, "nobody", shutdown.requested)
        gateway = Gateway(world, charging, Doorkeeper(pool, clock), shutdown, default_method=None)
        document = application(gateway, []).openapi()
        await processor.close()
    rows = table(tree["docs/http-api.md"], "Route")
    expected = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert expected == {name for row in rows if row[1] == "gateway" for name in names([row])}


def test_every_door_of_the_receiver_is_told(tree: Mapping[str, str]) -> None:
    """Both names of the one route."""
    rows = table(tree["docs/http-api.md"], "Route")
    told = {name.removeprefix("POST ") for row in rows if row[1] == "webhook-receiver" for name in names([row])}
    assert told == endpoint.PATHS


def test_every_metric_is_told_by_the_name_it_has(tree: Mapping[str, str]) -> None:
    """As Prometheus sees it: counters end in `_total`."""
    families = metrics.REGISTRY.collect()
    expected = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    assert expected == set(names(table(tree["docs/operations.md"], "Metric")))


def test_every_exit_code_is_told(tree: Mapping[str, str]) -> None:
    """Scripts rely on them."""
    assert [str(code.value) for code in ExitCode] == [row[0] for row in table(tree["docs/operations.md"], "Exit code")]


def test_every_test_that_a_page_names_is_there(tree: Mapping[str, str]) -> None:
    """A promise that names its test is worth as much as the test."""
    assert missing_tests(tree) == []


def test_the_map_has_every_module(tree: Mapping[str, str]) -> None:
    """A module that is not on the map is not found; an entry that leads nowhere misleads."""
    prefix = "src/counterfoil/"
    modules = [path.removeprefix(prefix) for path in tree if path.startswith(prefix) and path.endswith(".py")]
    assert misplaced_in_the_map(tree["ARCHITECTURE.md"], [one for one in modules if "/__" not in f"/{one}"]) == []


def test_a_message_told_wrongly_is_seen(tree: Mapping[str, str]) -> None:
    """A field that is left out, and a message with another version."""
    page = tree["docs/messages.md"]
    planted = page.replace("| `can_retry` |", "| can_retry |").replace("PaymentCanceled 1.0.0", "PaymentCanceled 2.0.0")
    assert sorted(untold_messages(planted)) == ["PaymentCanceled", "PaymentFailed"]


def test_a_test_that_is_not_there_is_seen() -> None:
    """A file that is gone, a test that has another name; a test that is there passes."""
    planted = {
        "docs/a.md": "`tests/a.py::test_one` `tests/a.py::test_two` `tests/b.py` `tests/a.py`\n",
        "tests/a.py": "def test_one() -> None:\n",
    }
    assert missing_tests(planted) == ["docs/a.md: `tests/a.py::test_two`", "docs/a.md: `tests/b.py`"]


def test_a_module_off_the_map_is_seen() -> None:
    """One that is not drawn, one that is drawn in the wrong folder; a pattern stands for several."""
    drawn = "  a/  letters\n    one.py  1\n    two_*.py  2\n  b/  more\n    one.py  1\n  c.py  3\n"
    page = f"```text\nsrc/counterfoil/\n{drawn}```\n"
    modules = ["a/one.py", "a/two_x.py", "a/two_y.py", "c.py", "d.py"]
    assert misplaced_in_the_map(page, modules) == ["d.py", "b/one.py"]


def test_a_row_that_differs_is_seen() -> None:
    """A table is read cell by cell, under the heading that is asked for."""
    text = "| Other | x |\n|---|---|\n| `a` | 1 |\n\n| Setting | x |\n|---|---|\n| `b` | 2 |\n| `c`, `d` | |\n"
    assert table(text, "Setting") == [["`b`", "2"], ["`c`, `d`", ""]]
    assert names(table(text, "Setting")) == ["b", "c", "d"]
