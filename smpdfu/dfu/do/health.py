"""Health checks: whether an image that runs on trial may stay. A check raises SmpdfuError where it may not."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import IO

from smpdfu.client import Client
from smpdfu.errors import UpdateError
from smpdfu.smp.groups.os import Echo
from smpdfu.untrusted.programs import environment, watched, watched_words

Health = Callable[[Client], Awaitable[None]]
"""Raises SmpdfuError when the image that runs on trial is not well."""

_PLAIN_WORD = re.compile(r"[\w./+-]+")


async def echoes(client: Client) -> None:
    """SMP answers. Raises LinkError or DeviceError."""
    await client.request(Echo("smpdfu"))


def soak(for_s: float, *, every_s: float = 1.0) -> Health:
    """SMP answers, and goes on answering for ``for_s`` seconds, asked every ``every_s``."""

    async def check(client: Client) -> None:
        clock = asyncio.get_running_loop().time
        end = clock() + for_s
        await echoes(client)
        while (left := end - clock()) > 0:
            await asyncio.sleep(min(every_s, left))
            await echoes(client)

    return check


def command(line: str, address: str, *, timeout_s: float) -> Health:
    """The command ``line``, run by the shell, ends with exit code 0 within ``timeout_s``.

    It finds the device's address in ``SMPDFU_TO``. Our link is closed meanwhile, for it may want it; what it prints
    goes to stderr. Raises UpdateError.
    """

    async def check(client: Client) -> None:
        await _carry_out(client, line, address, "health check", timeout_s, sys.stderr)

    return check


def output_of(line: str, address: str, *, timeout_s: float, max_bytes: int) -> Callable[[Client], Awaitable[str]]:
    """What the command ``line`` prints on its stdout, ``max_bytes`` of it at most; run as ``command`` runs it.

    Raises UpdateError where it does not end with exit code 0 within ``timeout_s``.
    """

    async def ask(client: Client) -> str:
        with tempfile.TemporaryFile() as file:
            await _carry_out(client, line, address, "command that tells the version", timeout_s, file)
            file.seek(0)
            return file.read(max_bytes).decode("utf-8", "replace")

    return ask


async def _carry_out(
    client: Client, line: str, address: str, what: str, timeout_s: float, stdout: IO[bytes] | IO[str]
) -> None:
    async with _released(client):
        code = await _run(line, environment({"SMPDFU_TO": address}), what, timeout_s, stdout)
    if code is None:
        raise UpdateError(f"the {what} did not end within {timeout_s:g} s: {line}")
    if code != 0:
        raise UpdateError(f"the {what} ended with exit code {code}: {line}")


def can_run(line: str) -> bool:
    """False if the first word of ``line`` is surely nothing that the shell can run: told before anything is sent."""
    word = line.split(maxsplit=1)[0] if line.strip() else ""
    if sys.platform == "win32" or _PLAIN_WORD.fullmatch(word) is None:
        return bool(word)
    asked = subprocess.run(
        ["/bin/sh", "-c", 'command -v -- "$0"', word], stdout=subprocess.DEVNULL, env=environment({}), check=False
    )
    return asked.returncode == 0


def all_of(checks: Sequence[Health]) -> Health:
    """One after the other."""

    async def check(client: Client) -> None:
        for one in checks:
            await one(client)

    return check


@asynccontextmanager
async def _released(client: Client) -> AsyncIterator[None]:
    """The link is closed inside. Raises ConnectError where it cannot be opened again."""
    await client.__aexit__(None, None, None)
    try:
        yield
    finally:
        await client.__aenter__()


async def _run(
    line: str, surroundings: dict[str, str], what: str, timeout_s: float, stdout: IO[bytes] | IO[str]
) -> int | None:
    """The exit code, or None where the time ran out; nothing is left running. Raises UpdateError."""
    with watched() as watch:
        try:
            process = await _start(line, watch, surroundings, stdout)
        except OSError as error:
            raise UpdateError(f"the {what} cannot be run: {error.strerror or error}") from error
        try:
            async with asyncio.timeout(timeout_s):
                return await process.wait()
        except TimeoutError:
            return None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    _kill(process)
                await process.wait()


async def _start(
    line: str, watch: int | None, surroundings: dict[str, str], stdout: IO[bytes] | IO[str]
) -> asyncio.subprocess.Process:
    nothing = asyncio.subprocess.DEVNULL
    if watch is None:  # Windows
        return await asyncio.create_subprocess_shell(line, stdin=nothing, stdout=stdout, env=surroundings)
    return await asyncio.create_subprocess_exec(
        *watched_words(watch, ("/bin/sh", "-c", line)),
        stdin=nothing,
        stdout=stdout,
        env=surroundings,
        start_new_session=True,
        pass_fds=(watch,),
    )


def _kill(process: asyncio.subprocess.Process) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        import signal

        os.killpg(process.pid, signal.SIGKILL)  # the shell and what it started
