"""The mailbox of `up` takes every letter, sends nothing on, and shows it without letting it do anything."""

import stat
from pathlib import Path

import httpx
import pytest
from tests.mail.test_letters import RECEIPT, WRITER
from tests.roles.mailbox.conftest import Running

from counterfoil.domain.effects import Outcome
from counterfoil.roles.mailbox.box import Box
from counterfoil.runtime.clock import SystemClock
from counterfoil.runtime.ids import TimeOrderedIds

HOSTILE = (
    b"From: <script>alert(1)</script>\r\nTo: =?utf-8?q?=3Cimg_src=3Dx=3E?= <kim@customer.example>\r\n"
    b"Subject: =?utf-8?q?=1B[2J=3Cscript=3Ealert(2)=3C/script=3E?=\r\n"
    b"Content-Type: text/html; charset=utf-8\r\n\r\n<script>alert(3)</script><img src='https://x.example/y.png'>"
)


async def test_a_letter_is_kept_and_shown_in_a_browser(mailbox: Running, http: httpx.AsyncClient) -> None:
    """A list, a page, the letter's own HTML, its source; at SIGTERM it exits 0, and no log holds an address."""
    content = WRITER.letter(RECEIPT).content
    assert (await http.get(mailbox.url)).text.count("No letters yet.") == 1
    assert await mailbox.deliver(content) is Outcome.ACCEPTED
    (letter,) = Box(mailbox.folder).ids()
    listed = (await http.get(mailbox.url)).text
    assert f'<a href="/letters/{letter}">Receipt for order order-1: 19.99 EUR</a>' in listed
    shown = (await http.get(f"{mailbox.url}/letters/{letter}")).text
    assert "<pre>Thank you for your order." in shown
    assert f'<iframe src="/letters/{letter}/html">' in shown
    assert "<h1" in (await http.get(f"{mailbox.url}/letters/{letter}/html")).text
    assert (await http.get(f"{mailbox.url}/letters/{letter}/source")).content == content
    mailbox.process.terminate()
    assert mailbox.process.wait(20) == 0
    assert "customer.example" not in mailbox.log.read_text()


async def test_a_letter_that_means_harm_is_only_shown(mailbox: Running, http: httpx.AsyncClient) -> None:
    """Its markup is text on our pages; its own page may run nothing, fetch nothing, and belongs to no site."""
    assert await mailbox.deliver(HOSTILE) is Outcome.ACCEPTED
    (letter,) = Box(mailbox.folder).ids()
    for path in ("/", f"/letters/{letter}"):
        answer = await http.get(mailbox.url + path)
        assert "<script" not in answer.text
        assert "<img" not in answer.text
        assert "&lt;script&gt;alert(2)&lt;/script&gt;" in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    own = (await http.get(f"{mailbox.url}/letters/{letter}/html")).headers["content-security-policy"]
    assert own.startswith("sandbox ")
    assert "allow-scripts" not in own
    assert "default-src 'none'" in own
    source = await http.get(f"{mailbox.url}/letters/{letter}/source")
    assert source.headers["content-type"].startswith("text/plain")
    assert source.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["/letters/x", f"/letters/{RECEIPT.payment_id}", "/letters/..%2f..%2fetc%2fpasswd", "/x"]
)
async def test_what_is_not_there_is_not_found(mailbox: Running, http: httpx.AsyncClient, path: str) -> None:
    """A letter is named by its id, and a path leads to nothing else."""
    assert (await http.get(mailbox.url + path)).status_code == 404
    assert (await http.post(mailbox.url + path)).status_code in (404, 405)


async def test_it_answers_to_its_own_name_only(mailbox: Running, http: httpx.AsyncClient) -> None:
    """A page elsewhere that made its own name lead here reads nobody's mail."""
    assert (await http.get(mailbox.url, headers={"Host": "evil.example"})).status_code == 421


async def test_a_letter_that_is_too_long_is_refused(mailbox: Running) -> None:
    """A megabyte is twenty times what we write."""
    assert await mailbox.deliver(b"Subject: x\r\n\r\n" + b"x" * 70 + b"\r\nx" * 600_000) is Outcome.FAILED
    assert Box(mailbox.folder).ids() == []


def test_letters_are_their_owners_alone(tmp_path: Path) -> None:
    """Whatever the umask says; and a file that is none of ours is left alone."""
    ids = TimeOrderedIds(SystemClock())
    box = Box(tmp_path / "mail")
    box.keep(HOSTILE, ids.new())
    (tmp_path / "mail" / "readme.eml").write_text("mine")
    (letter,) = box.ids()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "mail", tmp_path / "mail" / f"{letter}.eml")}
    assert modes == {0o700, 0o600}
    read = box.read(letter)
    assert read is not None
    assert "\x1b" not in read.subject


def test_the_oldest_letters_make_room(tmp_path: Path) -> None:
    """So that no home grows without end."""
    ids = TimeOrderedIds(SystemClock())
    made = sorted(ids.new() for _ in range(5))
    box = Box(tmp_path, most=3)
    for letter in made:
        box.keep(b"", letter)
    assert box.ids() == made[:1:-1]
    assert box.content(made[0]) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff\xfe",
        b"Subject: =?x-nothing?q?=ff?=\r\nContent-Type: text/plain; charset=nothing\r\n\r\n\xff",
        b"To: ,,,<>\r\nFrom: @\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\n--x\r\n--x",
        b"Content-Type: a/b/c; ;;=\r\nContent-Transfer-Encoding: base64\r\n\r\n!!",
    ],
)
def test_whatever_is_handed_in_can_be_looked_at(tmp_path: Path, content: bytes) -> None:
    """What cannot be read is empty; nothing raises."""
    ids = TimeOrderedIds(SystemClock())
    box = Box(tmp_path)
    box.keep(content, ids.new())
    assert box.read(box.ids()[0]) is not None
