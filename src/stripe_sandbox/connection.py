"""What can go wrong with the connection of an answer: nothing arrives, or half of it."""

import socket
import struct

from aiohttp import web

NO_LINGER = struct.pack("ii", 1, 0)
"""`SO_LINGER` of no time: closing then resets (RFC 9293, 3.10.7.4) instead of ending in order."""


def drop(request: web.BaseRequest, *, reset: bool) -> web.StreamResponse:
    """Ends the connection without an answer; gives the answer that will find nobody."""
    transport = request.transport
    if transport is not None:
        if reset:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
            transport.abort()
        else:
            transport.close()
    return web.Response()


async def cut(request: web.BaseRequest, whole: web.Response, *, reset: bool) -> web.StreamResponse:
    """Sends an answer's headers and the first half of its body, then ends the connection."""
    body = whole.body
    assert isinstance(body, bytes)
    part = web.StreamResponse(status=whole.status, headers=whole.headers)
    part.content_length = len(body)
    await part.prepare(request)
    await part.write(body[: len(body) // 2])
    drop(request, reset=reset)
    return part
