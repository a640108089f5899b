"""Secrets that stand in files: with SECRETS_SOURCE=file a secret setting holds the path of one."""

import stat
from pathlib import Path
from typing import Final

LONGEST_BYTES: Final = 64 * 1024
"""No secret is nearly as long; whatever is, is another file than was meant."""


def text_in(path: str) -> str:
    """Return the text of a file, without the one line end that editors leave.

    Raises ValueError, in words that follow the setting's name and hold neither the path, which may be a secret that was
    put there by mistake, nor anything of the file.
    """
    file = Path(path)
    if not file.is_absolute():
        raise ValueError("must be the absolute path of a file, because SECRETS_SOURCE is file")
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise ValueError("names something that is no file")
        with file.open("rb") as opened:
            content = opened.read(LONGEST_BYTES + 1)
        text = content.decode()
    except OSError as error:
        raise ValueError(f"names a file that cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ValueError("names a file that is no text") from None
    if len(content) > LONGEST_BYTES:
        raise ValueError("names a file that is too long for a secret")
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ValueError("names a file that is empty")
    return text


def everybody_may_read(path: str) -> bool:
    """Say whether every account of this machine may read a file; of one that is just being replaced nobody knows."""
    try:
        return bool(Path(path).stat().st_mode & stat.S_IROTH)
    except OSError:
        return False
