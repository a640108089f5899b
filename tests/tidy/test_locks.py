"""What is installed is what was reviewed, from wherever the installer gets it."""

import re
from collections.abc import Mapping

_PINNED = re.compile(r"^(?P<name>[A-Za-z0-9][\w.-]*(?:\[[\w,-]+\])?)==", re.MULTILINE)


def loose_locks(tree: Mapping[str, str]) -> list[str]:
    found: list[str] = []
    for path, text in tree.items():
        if path.startswith("requirements") and path.endswith(".lock"):
            entries = re.split(r"^(?=\S)", text, flags=re.MULTILINE)
            packages = [entry for entry in entries if entry.strip() and not entry.startswith("#")]
            found += [f"{path}: is empty"] if not packages else []
            found += [f"{path}: {_title(entry)}" for entry in packages if not _is_tight(entry)]
    return found


def _title(entry: str) -> str:
    return entry.partition("\n")[0].rstrip("\\ ")


def _is_tight(entry: str) -> bool:
    """Pinned to one version, with hashes, and without an address."""
    return bool(_PINNED.match(entry)) and "--hash=sha256:" in entry and "://" not in entry


def test_every_locked_package_has_its_version_and_hashes_and_no_address(tree: Mapping[str, str]) -> None:
    """Nobody can slip another archive in, and nobody's registry is written down."""
    assert [path for path in tree if path.endswith(".lock")] != []
    assert loose_locks(tree) == []


def test_a_loose_lock_is_seen() -> None:
    """A package without a hash, with a range, or with an address, and a lock that locks nothing."""
    planted = {
        "requirements.lock": (
            "# made by a command\nfirm==1.0 \\\n    --hash=sha256:00\n    # via x\nbare==1.0\n"
            "ranged>=1.0 \\\n    --hash=sha256:00\n"
            "far @ https://example.com/far.whl \\\n    --hash=sha256:00\n"
        ),
        "requirements-dev.lock": "# nothing\n",
    }
    assert loose_locks(planted) == [
        "requirements.lock: bare==1.0",
        "requirements.lock: ranged>=1.0",
        "requirements.lock: far @ https://example.com/far.whl",
        "requirements-dev.lock: is empty",
    ]
