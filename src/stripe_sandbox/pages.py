"""The frame of every page that the sandbox shows to a person: plain HTML, one style, nothing from elsewhere."""

import base64
import hashlib
from html import escape
from typing import Final

from aiohttp import web

STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;padding:0 1rem;color:#1a1f36;background:#fff}"
    "body.narrow{max-width:26rem;margin:12vh auto}body.wide{max-width:76rem}"
    "h1{font-size:1.3rem}h2{font-size:1.05rem;margin:2rem 0 .3rem}small{color:#545969}a{color:#4b45c6}"
    "table{border-collapse:collapse;width:100%;font-size:.9rem}caption{text-align:left;color:#545969}"
    "th,td{text-align:left;padding:.25rem .8rem .25rem 0;border-bottom:1px solid #e3e8ee;vertical-align:top}"
    "pre{background:#f6f8fa;padding:1rem;overflow:auto;font-size:.85rem}"
    "button,input{font:inherit;padding:.4rem .9rem;margin-right:.6rem;border-radius:.4rem;border:1px solid #8792a2;"
    "background:#fff;color:inherit}button{cursor:pointer}"
    "button.yes{background:#635bff;border-color:#635bff;color:#fff}"
    ":focus-visible{outline:3px solid #f5a623;outline-offset:2px}"
    ".skip{position:absolute;left:-99rem}.skip:focus{left:1rem;top:.5rem}"
)

_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

POLICY: Final = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'"
"""Nothing is loaded and nothing runs, whatever somebody put into a description."""


def page(title: str, body: str, status: int = 200, *, wide: bool = False, answers_here: bool = False) -> web.Response:
    """A page of HTML.

    Args:
        title: its heading, as plain text.
        body: HTML, everything foreign in it escaped.
        status: of the answer.
        wide: for tables rather than for a question.
        answers_here: whether its forms lead to the sandbox itself and, unlike a bank's, on to nobody else.
    """
    policy = f"{POLICY}; form-action 'self'" if answers_here else POLICY
    return web.Response(
        text='<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title><style>{STYLE}</style>'
        f'<body class="{"wide" if wide else "narrow"}"><h1>{escape(title)}</h1>{body}'
        "<p><small>This is a sandbox. No money moves.</small></html>",
        content_type="text/html",
        charset="utf-8",
        status=status,
        headers={
            "Cache-Control": "no-store",
            "Content-Security-Policy": policy,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        },
    )
