"""Checks of the server before an agent runs: reachable, certificate, token, clock. No device is registered there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from smpdfu.agent.ddi.answers import Reaction, reaction
from smpdfu.agent.ddi.counted import counted
from smpdfu.agent.ddi.resources import Refusal
from smpdfu.agent.description.authentication import Credentials, Way
from smpdfu.agent.description.file import AgentFile
from smpdfu.agent.server.http import Answer, HttpClient, is_web_page
from smpdfu.agent.server.settings import Times, TlsFiles
from smpdfu.errors import ServerError
from smpdfu.local.doctor.checks import Finding, Level
from smpdfu.untrusted.text import line

TOPIC = "server"
TOLERANCE_S = 60.0
"""How far our clock may be from the server's."""
NOBODY = "smpdfu-doctor"
"""The controller id of the question if the file names no device. The server does not register it."""
NOT_IN_NAMES = frozenset("/\\%;")
"""hawkBit's web server (Tomcat, Spring Security) answers 400 to a path with one of these, also if it is quoted."""
MAX_ASKED = 100
"""Devices whose target tokens are checked."""
_TIMES = Times(connect_s=10.0, read_s=10.0, request_s=15.0)
_HAWKBIT = "hawkbit."
_SHOWN = 120


async def check_server(file: AgentFile, credentials: Credentials, now: Callable[[], float]) -> list[Finding]:
    """Ask the server for something that no device has: its refusal shows whether it takes the token.

    The question is for the action 0 that a device installed. hawkBit registers a device only when its base is asked
    for (``DdiRootController``); this resource it looks up, and answers 404.
    """
    asked = list(file.devices)[:MAX_ASKED] if file.authentication.way is Way.TARGET_TOKENS else []
    plain = (name for name in file.devices if not NOT_IN_NAMES & set(name))
    names = asked or [next(plain, NOBODY)]
    tls = TlsFiles(file.server.ca, credentials.certificate, credentials.key)
    try:
        async with HttpClient(tls=tls, times=_TIMES, proxy=file.server.address.proxy) as http:
            first = await _ask(http, file, credentials, names[0])
            found = [_reached(file, first), *_clock(first, now())]
            rest = await asyncio.gather(*(_ask(http, file, credentials, name) for name in names[1:]))
    except ServerError as error:
        return [_unreachable(file, error)]
    found += _tokens(file, dict(zip(names, (first, *rest), strict=True)))
    return [*found, *_names(file)]


async def _ask(http: HttpClient, file: AgentFile, credentials: Credentials, name: str) -> Answer:
    link = file.server.address.controller(name, "installedBase", "0")
    return await http.request("GET", link, credentials.token(name), headers={"Accept": "application/json"})


def _names(file: AgentFile) -> Iterator[Finding]:
    wrong = [name for name in file.devices if NOT_IN_NAMES & set(name) or name in (".", "..")]
    if not wrong:
        return
    more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    yield Finding(
        "device-name",
        TOPIC,
        Level.WARNING,
        f"hawkBit takes no such controller id: {wrong[0]!r}{more}",
        "Its web server refuses the characters '/', '\\\\', '%' and ';'.",
        "Give the device another 'name' in the file.",
    )


def _reached(file: AgentFile, answer: Answer) -> Finding:
    origin = file.server.address.origin
    if is_web_page(answer.headers):
        return Finding(
            "web-page",
            TOPIC,
            Level.ERROR,
            f"{origin} answers with a web page instead of data (HTTP {answer.status})",
            "The address is not that of an update server, or a login page or a proxy is in between.",
            "Correct 'url' and 'tenant' in [server].",
        )
    safe = "its certificate is trusted" if origin.scheme == "https" else "without TLS"
    return Finding("server-ready", TOPIC, Level.OK, f"{origin} answers; {safe}")


def _unreachable(file: AgentFile, error: ServerError) -> Finding:
    code = "certificate" if error.code == "tls-untrusted" else "server-unreachable"
    do = {
        "tls-untrusted": "Name the certificates of its authority with 'ca' in [server].",
        "connect": "Correct 'url' in [server], or start the server.",
        "timeout": "Correct 'url' in [server], and check the network and the firewall.",
        "name": "Correct 'url' in [server], and check the name service of this computer.",
        "tls": "Correct 'url' in [server]: it is the address of the server's TLS port.",
    }.get(error.code, "")
    return Finding(code, TOPIC, Level.ERROR, line(str(error)), "", do)


def _clock(answer: Answer, now_s: float) -> Iterator[Finding]:
    """Compare the header ``Date`` (RFC 9110, 6.6.1) with our clock."""
    try:
        date = parsedate_to_datetime(answer.headers.get("Date", ""))
        theirs = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        yield Finding("clock-unknown", TOPIC, Level.NOTE, "the server does not tell its time")
        return
    off = now_s - theirs
    if abs(off) <= TOLERANCE_S:
        yield Finding("clock-ready", TOPIC, Level.OK, "the clock of this computer agrees with the server's")
        return
    way = "ahead of" if off > 0 else "behind"
    yield Finding(
        "clock",
        TOPIC,
        Level.WARNING,
        f"the clock of this computer is {abs(off):.0f} s {way} the server's",
        "Certificates are checked against the clock, and the server shows the agent's times.",
        "Set the clock, for instance by NTP.",
    )


def _tokens(file: AgentFile, answers: Mapping[str, Answer]) -> Iterator[Finding]:
    refused = [name for name, one in answers.items() if reaction(one.status) is Reaction.CREDENTIALS]
    if refused:
        yield _refused(file, refused, answers[refused[0]].status)
        return
    first = next(iter(answers.values()))
    if is_web_page(first.headers):
        return
    refusal = Refusal.from_bytes(first.body)
    if first.status < 300 or (first.status == 404 and refusal.code.startswith(_HAWKBIT)):
        what = "the certificate" if file.authentication.way is Way.CERTIFICATE else "the token"
        yield Finding("token-ready", TOPIC, Level.OK, f"the server accepts {what}")
        return
    said = line(refusal.message)[:_SHOWN]
    yield Finding(
        "token-unknown",
        TOPIC,
        Level.WARNING,
        f"smpdfu cannot tell whether the server accepts the token: HTTP {first.status}{f', {said}' if said else ''}",
        "Not every server of this protocol has the resource that smpdfu asks for.",
        "If it is hawkBit, correct 'url' and 'tenant' in [server].",
    )


def _refused(file: AgentFile, names: list[str], status: int) -> Finding:
    do = {
        Way.TARGET_TOKENS: "Compare with the security token of the target. A target that is not registered has none.",
        Way.CERTIFICATE: "Compare with the certificate that the proxy before the server expects.",
    }.get(
        file.authentication.way,
        "Compare with the gateway token of the tenant, and turn on authentication by gateway token there.",
    )
    who = f" of {names[0]!r}" if file.authentication.way is Way.TARGET_TOKENS else ""
    more = f" and {counted(len(names) - 1, 'more device')}" if len(names) > 1 else ""
    what = f"the server refuses the credentials{who}{more} (HTTP {status})"
    return Finding("token-refused", TOPIC, Level.ERROR, what, "", do)
