"""The mailbox in a browser: a list and a page for each letter. It only shows; nothing in it runs or is fetched."""

from html import escape
from typing import Final
from uuid import UUID

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from counterfoil.roles.mailbox.box import Box, ReadLetter
from counterfoil.roles.problems import Kind, Problem, response

MOST_SHOWN: Final = 200
"""Letters of the list: a page that a browser shows at once."""

_PAGE_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; frame-ancestors 'none'"
_LETTER_POLICY: Final = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "frame-ancestors 'self'"
)
"""A letter is somebody else's page: it is given no origin, no script, no picture; a link of it opens beside it."""

_STYLE: Final = (
    "body{font:16px/1.5 sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1c2430}"
    "table{width:100%;border-collapse:collapse}td,th{text-align:left;padding:.4rem;border-bottom:1px solid #e1e4e8}"
    "pre{white-space:pre-wrap;background:#f4f5f7;padding:1rem}iframe{width:100%;height:30rem;border:1px solid #e1e4e8}"
)


def routes(box: Box) -> list[Route]:
    """Return the routes that show what is in a box."""

    async def listed(_request: Request) -> Response:
        letters = [letter for letter in map(box.read, box.ids()[:MOST_SHOWN]) if letter is not None]
        return _page("Mailbox", _table(letters) if letters else "<p>No letters yet.</p>")

    async def one(request: Request) -> Response:
        letter = _found(box, request)
        return _NOT_FOUND if letter is None else _page(letter.subject or "(no subject)", _letter(letter))

    async def html(request: Request) -> Response:
        letter = _found(box, request)
        if letter is None or not letter.html:
            return _NOT_FOUND
        shown = f'<!DOCTYPE html><base target="_blank">{letter.html}'
        return HTMLResponse(shown, headers={"Content-Security-Policy": _LETTER_POLICY, **_PRIVATE})

    async def source(request: Request) -> Response:
        letter = _found(box, request)
        content = box.content(letter.id) if letter is not None else None
        return _NOT_FOUND if content is None else PlainTextResponse(content, headers=_PRIVATE)

    return [
        Route("/", listed),
        Route("/letters/{letter}", one),
        Route("/letters/{letter}/html", html),
        Route("/letters/{letter}/source", source),
    ]


def _found(box: Box, request: Request) -> ReadLetter | None:
    try:
        return box.read(UUID(request.path_params["letter"]))
    except ValueError:
        return None


def _page(title: str, body: str) -> Response:
    page = (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{body}</body></html>"
    )
    return HTMLResponse(page, headers={"Content-Security-Policy": _PAGE_POLICY, **_PRIVATE})


def _table(letters: list[ReadLetter]) -> str:
    rows = (
        f"<tr><td>{letter.received_at:%Y-%m-%d %H:%M:%S}</td><td>{escape(letter.to)}</td>"
        f'<td><a href="/letters/{letter.id}">{escape(letter.subject or "(no subject)")}</a></td></tr>'
        for letter in letters
    )
    return f"<table><tr><th>received (UTC)</th><th>to</th><th>subject</th></tr>{''.join(rows)}</table>"


def _letter(letter: ReadLetter) -> str:
    place = f"/letters/{letter.id}"
    framed = f'<h2>As HTML</h2><iframe src="{place}/html"></iframe>' if letter.html else ""
    return (
        f'<p><a href="/">All letters</a> · <a href="{place}/source">Source</a></p>'
        f"<p>From {escape(letter.sender)}<br>To {escape(letter.to)}<br>{letter.received_at:%Y-%m-%d %H:%M:%S} UTC</p>"
        f"<h2>As text</h2><pre>{escape(letter.text)}</pre>{framed}"
    )


_PRIVATE: Final = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
_NOT_FOUND: Final = response(Problem(Kind.NOT_FOUND, "no such letter"))
