"""What an HTTP status of the server means for an agent: one table.

Sources: RFC 9110, RFC 6585 (429), and hawkBit's ``RestConfiguration``, which maps its errors to statuses.
"""

from __future__ import annotations

from enum import Enum

QUOTA = "hawkbit.server.error.quota"
"""How the error codes of hawkBit's quotas begin. They come with 429, and waiting does not help within one action."""


class Reaction(Enum):
    """What an agent does with an answer."""

    USE = "use the body"
    UNCHANGED = "use what it got before"
    REDIRECT = "look where the server points to"
    CREDENTIALS = "a person must mend the token or the rights; ask again, rarely"
    UNKNOWN = "the target or the action is not there; read the base again"
    OVER = "the action is over; stop and forget it"
    CONFLICT = "the state changed meanwhile; read the base again"
    WAIT = "too many requests; wait as long as the server says, else longer each time"
    QUOTA = "the server takes no more of this kind for this action; do not repeat it"
    LATER = "the server has a problem; try again, later each time"
    REFUSED = "the server does not take this request; do not repeat it unchanged"


# The first row that has the status decides; what is in no row is REFUSED (4xx) or LATER.
_TABLE: tuple[tuple[range | tuple[int, ...], Reaction], ...] = (
    (range(200, 300), Reaction.USE),
    ((304,), Reaction.UNCHANGED),
    ((301, 302, 303, 307, 308), Reaction.REDIRECT),
    ((401, 403, 407), Reaction.CREDENTIALS),
    ((404,), Reaction.UNKNOWN),
    ((410,), Reaction.OVER),
    ((409, 412, 423), Reaction.CONFLICT),
    ((429,), Reaction.WAIT),
    ((408, 425), Reaction.LATER),
    (range(400, 500), Reaction.REFUSED),
)
_WORDS = {
    Reaction.CREDENTIALS: "the server does not accept the token, or the token has no right to this",
    Reaction.UNKNOWN: "the server does not know this target or action",
    Reaction.OVER: "the action is over",
    Reaction.CONFLICT: "the state at the server changed",
    Reaction.WAIT: "the server gets too many requests",
    Reaction.QUOTA: "a quota of the server is used up",
    Reaction.LATER: "the server has a problem",
    Reaction.REFUSED: "the server does not take this request",
    Reaction.REDIRECT: "the server redirects this request, and smpdfu does not send a token elsewhere",
}


def reaction(status: int, server_code: str = "") -> Reaction:
    """Return what to do with an answer. ``server_code`` is the error code in its body, if there is one."""
    if status in (403, 429) and server_code.startswith(QUOTA):
        return Reaction.QUOTA
    return next((found for statuses, found in _TABLE if status in statuses), Reaction.LATER)


def sentence(status: int, server_code: str = "") -> str:
    """Return what a status means, for people; for an answer that is usable a ``ValueError``."""
    found = reaction(status, server_code)
    if found not in _WORDS:
        raise ValueError(f"status {status} is no refusal")
    return f"{_WORDS[found]} (HTTP {status})"
