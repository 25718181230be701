"""``echo``: a text to the device and back."""

from __future__ import annotations

from smpdfu.cli.app.command import Connection
from smpdfu.cli.terminal.show import Output, words
from smpdfu.smp.groups.os import Echo

SHORT = 64
"""Characters of a text that every server has room for."""


async def echo_text(conn: Connection, out: Output, text: str) -> None:
    """Send ``text`` and print the answer."""
    async with conn.client() as client:
        if len(text) > SHORT:
            await client.params()  # no buffer may hold the message: a limit that is known gives an error before that
        reply = await client.request(Echo(text))
    out.emit({"echo": reply.r}, lambda: words(reply.r))
