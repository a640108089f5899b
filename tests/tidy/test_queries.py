"""SQL lives in named queries, each with its sentence, each used by the one module that types it."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

STORE = "src/counterfoil/store"
WORDS_OF_A_SENTENCE = 3
_SQL = re.compile(
    r"\b(?:SELECT|INSERT\s+INTO|DELETE\s+FROM)\s|\bUPDATE\s+[\w.\"]+\s+SET\b"
    r"|\b(?i:select\s.+\sfrom|insert\s+into\s+\w+\s*(?:\(|select|values)|update\s+[\w.]+\s+set)\b",
    re.DOTALL,
)
_NAME_LINE = re.compile(r"--\s*name:\s*(?P<name>\S*)\s*$")


@dataclass(frozen=True)
class Query:
    """One named query as its file has it."""

    path: str
    name: str
    sentence: str
    sql: str


def sql_in_python(tree: Mapping[str, str]) -> list[str]:
    return [
        f"{path}:{line}"
        for path, text in tree.items()
        if path.startswith("src/counterfoil/") and path.endswith(".py")
        for line, literal in _literals(ast.parse(text))
        if _SQL.search(literal)
    ]


def _literals(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Every text but those that stand alone as prose; a formatted one with a word in each gap."""
    prose = {id(node.value) for node in ast.walk(module) if isinstance(node, ast.Expr)}
    pieces = {id(piece) for node in ast.walk(module) if isinstance(node, ast.JoinedStr) for piece in node.values}
    for node in ast.walk(module):
        if isinstance(node, ast.JoinedStr):
            parts = [str(piece.value) if isinstance(piece, ast.Constant) else "gap" for piece in node.values]
            yield node.lineno, "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose | pieces:
            yield node.lineno, node.value


def named_queries(tree: Mapping[str, str]) -> list[Query]:
    found: list[Query] = []
    for path, text in tree.items():
        if path.startswith(f"{STORE}/sql/") and path.endswith(".sql"):
            parts = re.split(r"^(?=--\s*name:)", text, flags=re.MULTILINE)
            found += [_query(path, part) for part in parts if part.startswith("--") and "name:" in part.split("\n")[0]]
    return found


def _query(path: str, part: str) -> Query:
    first, *lines = part.splitlines()
    match = _NAME_LINE.match(first)
    comment: list[str] = []
    while lines and lines[0].startswith("--"):
        comment.append(lines.pop(0).removeprefix("--").strip())
    return Query(path, match["name"] if match else "", " ".join(comment), "\n".join(lines).strip())


def uses_of_queries(tree: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Each use of a query as (SQL file, name, module): an attribute of what `queries.load("file")` was assigned to."""
    for path, text in tree.items():
        if path.startswith("src/counterfoil/") and path.endswith(".py") and "load(" in text:
            module = ast.parse(text)
            loaded = dict(_loads(module))
            for node in ast.walk(module):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in loaded:
                    yield f"{STORE}/sql/{loaded[node.value.id]}.sql", node.attr, path


def _loads(module: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(module):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        match getattr(node, "value", None):
            case ast.Call(func=ast.Attribute(value=ast.Name("queries"), attr="load"), args=[ast.Constant(str(file))]):
                if isinstance(target, ast.Name):
                    yield target.id, file


def untidy_queries(tree: Mapping[str, str]) -> list[str]:
    queries = named_queries(tree)
    users: dict[tuple[str, str], set[str]] = {(query.path, query.name): set() for query in queries}
    found: list[str] = []
    for path, name, module in uses_of_queries(tree):
        if (path, name) not in users:
            found.append(f"{path} {name}: {module} uses it, and there is none")
        users.setdefault((path, name), set()).add(module)
    for query in queries:
        where = f"{query.path} {query.name}"
        if not re.fullmatch(r"[a-z][a-z_]*", query.name) or [*map(_identity, queries)].count(_identity(query)) > 1:
            found.append(f"{where}: a query has one name, of its own in its file, of letters in lower case")
        if len(query.sentence.split()) < WORDS_OF_A_SENTENCE or not query.sentence.endswith("."):
            found.append(f"{where}: say in a sentence what it does and which lock it takes")
        if not query.sql:
            found.append(f"{where}: there is no SQL under the name")
        modules = sorted(users[_identity(query)])
        if len(modules) != 1 or not modules[0].startswith(f"{STORE}/"):
            found.append(f"{where}: one module of the store gives it its type, not {modules}")
    return found


def _identity(query: Query) -> tuple[str, str]:
    return query.path, query.name


def test_no_sql_stands_in_python(tree: Mapping[str, str]) -> None:
    """Statements live in files that a database person can read, run and review."""
    assert sql_in_python(tree) == []


def test_every_named_query_has_its_sentence_and_its_one_user(tree: Mapping[str, str]) -> None:
    """A query without a sentence is not understood; one without a user, or with two, is not owned."""
    assert untidy_queries(tree) == []


def test_sql_in_python_is_seen() -> None:
    """In plain and formatted text, in either case; prose, docstrings and HTTP's methods are none."""
    planted = {
        "src/counterfoil/a.py": (
            "'''SELECT is what we do.'''\nx = 'SELECT 1'\ny = f'UPDATE {table} SET x = 1'\nz = 'delete'\n"
            "m = ['GET', 'DELETE', 'please select one']\nw = 'select a\\nfrom b'\nv = 'INSERT'\nu = 'DELETE FROM t'\n"
        ),
        "tests/a.py": "x = 'SELECT 1'\n",
    }
    assert sql_in_python(planted) == [f"src/counterfoil/a.py:{line}" for line in (2, 3, 6, 8)]


def test_untidy_queries_are_seen() -> None:
    """No sentence, no SQL, a name twice or not of its form, no user or two, a user elsewhere, a use of nothing."""
    planted = {
        f"{STORE}/sql/payments.sql": (
            "-- The file's own words.\n\n-- name: good\n-- Locks one payment by id.\nSELECT 1;\n"
            "-- name: silent\nSELECT 1;\n-- name: empty\n-- Does nothing at all.\n"
            "-- name: twice\n-- Says it once more.\nSELECT 1;\n-- name: twice\n-- Says it once more.\nSELECT 1;\n"
            "-- name: unused\n-- Is called by nobody.\nSELECT 1;\n-- name: shared\n-- Is called by two.\nSELECT 1;\n"
            "-- name: far\n-- Is called from a step.\nSELECT 1;\n"
        ),
        f"{STORE}/payments.py": (
            "_SQL: Final = queries.load('payments')\na = _SQL.good, _SQL.silent, _SQL.empty, _SQL.twice, _SQL.shared\n"
            "b = _SQL.gone, other.unused, 'unused'\ndef unused(): ...\n"
        ),
        f"{STORE}/reading.py": "SQL = queries.load('payments')\na = SQL.shared\n",
        "src/counterfoil/journey/accept.py": "sql = queries.load('payments')\na = sql.far\n",
    }
    form = "a query has one name, of its own in its file, of letters in lower case"
    typed = "one module of the store gives it its type, not"
    prefix = f"{STORE}/sql/payments.sql "
    assert [offence.removeprefix(prefix) for offence in untidy_queries(planted)] == [
        f"gone: {STORE}/payments.py uses it, and there is none",
        "silent: say in a sentence what it does and which lock it takes",
        "empty: there is no SQL under the name",
        f"twice: {form}",
        f"twice: {form}",
        f"unused: {typed} []",
        f"shared: {typed} ['{STORE}/payments.py', '{STORE}/reading.py']",
        f"far: {typed} ['src/counterfoil/journey/accept.py']",
    ]
