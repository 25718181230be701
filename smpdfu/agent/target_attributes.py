"""The attributes of targets, by a login of the management API: they show which gateway claimed a device last."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from smpdfu.agent.ddi.limits import MAX_BODY_BYTES
from smpdfu.agent.description.file import AgentFile
from smpdfu.agent.management.access import ManagementAccess, password_login
from smpdfu.agent.management.requests import attributes_of
from smpdfu.agent.management.server import ManagementServer
from smpdfu.agent.work.ports import AttributesOf
from smpdfu.errors import FormatError, ServerProtocolError, ServerRefusedError
from smpdfu.untrusted.jsontext import load

_NOT_THERE = 404


@asynccontextmanager
async def opened_attributes(file: AgentFile, password: str) -> AsyncIterator[AttributesOf]:
    """Yield what gives the attributes of a target; {} for one that the server does not have. It raises ServerError."""
    assert file.management is not None
    access = ManagementAccess(
        file.server.address.url,
        password_login(file.management.user, password),
        ca=file.server.ca,
        insecure_http=file.server.insecure_http,
        proxy=file.server.address.proxy,
    )
    async with ManagementServer(access) as server:

        async def read(controller: str) -> Mapping[str, str]:
            try:
                answer = await server.ask(attributes_of(controller))
            except ServerRefusedError as error:
                if error.status == _NOT_THERE:
                    return {}
                raise
            return texts_of(answer)

        yield read


def texts_of(answer: bytes) -> dict[str, str]:
    """Return the attributes whose values are texts. hawkBit answers nothing for a target without any.

    Raises ServerProtocolError.
    """
    if not answer:
        return {}
    try:
        found = load(answer, MAX_BODY_BYTES)
    except FormatError as error:
        raise ServerProtocolError(f"the attributes of a target are not what hawkBit sends: {error}") from error
    return {key: value for key, value in found.items() if isinstance(value, str)}
