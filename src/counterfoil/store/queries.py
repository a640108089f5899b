"""Named queries: SQL lives in ``sql/*.sql``, each with a name and a sentence; Python only calls it by that name."""

import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

_NAME: Final = re.compile(r"^-- name: ([a-z_]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Queries:
    """The queries of one file, by name."""

    file: str
    texts: dict[str, str]

    def __getattr__(self, name: str) -> str:
        """Return the text of the query of that name.

        Raises:
            AttributeError: the file holds no such query; a mistake of ours, found as soon as the module is used.
        """
        try:
            return self.texts[name]
        except KeyError:
            raise AttributeError(f"sql/{self.file}.sql holds no query named {name}") from None


def load(file: str) -> Queries:
    """Return the queries of ``sql/<file>.sql``."""
    source = (files("counterfoil.store") / "sql" / f"{file}.sql").read_text("utf-8")
    pieces = _NAME.split(source)[1:]
    names, texts = pieces[::2], pieces[1::2]
    assert len(names) == len(set(names)), f"sql/{file}.sql gives a name twice"
    return Queries(file, {name: text.strip() for name, text in zip(names, texts, strict=True)})
