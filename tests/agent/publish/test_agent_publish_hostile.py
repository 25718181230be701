"""A server that means no good, or is none: one named error each, in bounded time, and never the password."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from smpdfu.agent.management import requests
from smpdfu.agent.management.access import ManagementAccess, password_login, token_login
from smpdfu.agent.management.answers import Module
from smpdfu.agent.management.publisher import read_list
from smpdfu.agent.management.server import ManagementServer
from smpdfu.agent.server.settings import Times
from smpdfu.errors import ServerError, ServerLinkError, ServerProtocolError, ServerRefusedError
from tests.agent.server.certificates import Authority
from tests.agent.server.raw_server import RawServer, Respond, always, answer, raw_server

SECRET = "pass-4711-word"
FAST = Times(connect_s=2.0, read_s=0.3, request_s=1.0)
Work = Callable[[ManagementServer], Awaitable[object]]


async def ask(server: ManagementServer) -> object:
    return await server.ask(requests.user_info())


async def send(server: ManagementServer) -> object:
    return await server.send_file(requests.upload_to(1, "a.zip", "00" * 32), "a.zip", bytes(1 << 20), lambda done: None)


async def modules(server: ManagementServer) -> object:
    return await read_list(server, requests.find_modules("a", "1"), Module.from_fields)


def error_of(respond: Respond, work: Work = ask, times: Times = FAST) -> tuple[ServerError, RawServer]:
    """The error of one piece of work at a raw server, which must not tell the password."""

    async def run() -> tuple[ServerError, RawServer]:
        async with raw_server(respond) as raw:
            access = ManagementAccess(raw.url, password_login("ci", SECRET))
            async with ManagementServer(access, times) as server:
                with pytest.raises(ServerError) as caught:
                    await work(server)
            return caught.value, raw

    error, raw = asyncio.run(run())
    told = f"{error} {error!r} {error.__dict__} {error.__cause__!r} {error.__context__} {error.__context__!r}"
    assert SECRET not in told
    assert password_login("ci", SECRET).header() not in told
    assert str(error).isprintable()
    assert len(str(error)) < 500
    return error, raw


REFUSALS = [
    ("401 Unauthorized", "the server does not accept the login (HTTP 401)", "publish-login"),
    ("403 Forbidden", "the login has no right to this (HTTP 403)", "publish-rights"),
    ("404 Not Found", "the server does not have this (HTTP 404)", "publish-address"),
    ("409 Conflict", "the server has something else under this name (HTTP 409)", "publish-refused"),
    ("423 Locked", "the server has locked this (HTTP 423)", "publish-refused"),
    ("400 Bad Request", "the server does not take this request (HTTP 400)", "publish-refused"),
    ("429 Too Many Requests", "the server gets too many requests (HTTP 429)", "publish-later"),
    ("500 Oh", "the server has a problem (HTTP 500)", "publish-later"),
    ("503 Later", "the server has a problem (HTTP 503)", "publish-later"),
    ("302 Found", "the server redirects this request", "publish-refused"),
]


@pytest.mark.parametrize(("status", "words", "code"), REFUSALS, ids=[status for status, _, _ in REFUSALS])
@pytest.mark.parametrize("work", [ask, send], ids=["ask", "send"])
def test_a_refusal_has_its_words(status: str, words: str, code: str, work: Work) -> None:
    headers = {"Location": "http://127.0.0.1:1/elsewhere"} if status.startswith("302") else None
    error, raw = error_of(always(answer(status=status, headers=headers)), work)
    assert isinstance(error, ServerRefusedError)
    assert error.status == int(status[:3])
    assert words in str(error)
    assert error.code == code
    assert len(raw.requests) == 1  # no redirect is followed


def test_what_hawkbit_does_not_have_is_no_wrong_address() -> None:
    said = b'{"errorCode": "hawkbit.server.error.repo.entitiyNotFound", "message": "SoftwareModuleType nope"}'
    error, _ = error_of(always(answer(said, status="404 Not Found")))
    assert error.code == "publish-refused"
    assert str(error) == "the server does not have this (HTTP 404): SoftwareModuleType nope"


def test_what_hawkbit_says_of_a_refusal_is_told() -> None:
    said = b'{"errorCode": "hawkbit.server.error.quota.tooManyEntries", "message": "too\\u001b[31m many"}'
    error, _ = error_of(always(answer(said, status="403 Forbidden")))
    assert "many" in str(error)
    assert "\x1b" not in str(error)
    assert isinstance(error, ServerRefusedError)
    assert error.server_code == "hawkbit.server.error.quota.tooManyEntries"


BODIES = [
    (answer(b"<html>login</html>", kind="text/html"), "web page"),
    (answer(b"hello", kind="text/plain"), "instead of JSON"),
    (answer(b"\x00\x01", kind="application/cbor"), "instead of JSON"),
    (answer(b"{", kind="application/json"), "not usable"),
    (answer(b"[]", kind="application/json"), "not usable"),
    (answer(b'{"content": 5, "total": 0}'), "content is no list"),
    (answer(b'{"content": [], "total": 3}'), "ends before its last entry"),
    (answer(b'{"content": [], "total": 100000000}'), "has 100000000 entries"),
    (answer(b'{"content": [], "total": -1}'), "total is not between"),
    (answer(b'{"content": [' + b",".join([b"{}"] * 51) + b'], "total": 51}'), "may have 50"),
    (answer(b'{"content": [' + b"[" * 500 + b"]" * 500 + b'], "total": 1}'), "nested too deeply"),
    (answer(b'{"content": [], "total": 0, "total": 1}'), "twice"),
    (answer(b" " * (2 << 20)), "larger than 1024 KiB"),
    (answer(b"{}", length=5 << 30), "larger than 1024 KiB"),
]


@pytest.mark.parametrize(("data", "words"), BODIES, ids=[words for _, words in BODIES])
def test_an_answer_that_is_none_has_one_sentence(data: bytes, words: str) -> None:
    error, _ = error_of(always(data), modules)
    assert isinstance(error, ServerProtocolError)
    assert words in str(error)


def test_a_list_that_never_ends_is_given_up() -> None:
    entry = b'{"id": 1, "name": "a", "version": "1", "type": "os"}'
    page = b'{"content": [' + b",".join([entry] * 50) + b'], "total": 5000}'
    growing = iter(range(1, 1 << 20))

    async def respond(request: object, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(page.replace(b"5000", b"%d" % min(50 * next(growing) + 50, 1 << 30))))

    error, raw = error_of(respond, modules)
    assert isinstance(error, ServerProtocolError)
    assert len(raw.requests) < 200


def test_a_silent_server_is_given_up_in_time() -> None:
    async def respond(request: object, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    error, _ = error_of(respond)
    assert isinstance(error, ServerLinkError)
    assert error.code == "timeout"


def test_a_server_that_drips_is_given_up_in_time() -> None:
    async def respond(request: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            await asyncio.sleep(0.05)
            writer.write(b" ")
            await writer.drain()

    error, _ = error_of(respond)
    assert isinstance(error, ServerLinkError)
    assert error.code == "timeout"


@pytest.mark.parametrize(
    "data", [b"", b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b"\x00"]
)
def test_what_is_no_http_has_one_sentence(data: bytes) -> None:
    async def respond(request: object, writer: asyncio.StreamWriter) -> bool:
        writer.write(data)
        return False

    error, _ = error_of(respond)
    assert isinstance(error, ServerLinkError | ServerProtocolError)


def test_nobody_listens() -> None:
    async def run() -> None:
        async with ManagementServer(ManagementAccess("http://127.0.0.1:1", token_login("t")), FAST) as server:
            with pytest.raises(ServerLinkError, match="cannot connect"):
                await server.ask(requests.user_info())

    asyncio.run(run())


def test_the_certificate_is_checked(tmp_path: Path) -> None:
    ours = Authority(tmp_path, "ours")
    context = ours.issue("server", address="localhost").server_context()

    async def run(ca: Path | None) -> bytes:
        async with raw_server(always(answer(b"{}")), tls=context) as raw:
            url = raw.url.replace("127.0.0.1", "localhost")
            async with ManagementServer(ManagementAccess(url, token_login("t"), ca), FAST) as server:
                return await server.ask(requests.user_info())

    assert asyncio.run(run(ours.certificate)) == b"{}"
    with pytest.raises(ServerLinkError, match="is not trusted") as caught:
        asyncio.run(run(None))
    assert caught.value.code == "tls-untrusted"
    with pytest.raises(ServerLinkError, match="is not trusted"):
        asyncio.run(run(Authority(tmp_path, "other").certificate))


def test_the_name_in_the_certificate_is_checked(tmp_path: Path) -> None:
    ours = Authority(tmp_path, "ours")
    context = ours.issue("server", address="elsewhere.example.com").server_context()

    async def run() -> None:
        async with raw_server(always(answer(b"{}")), tls=context) as raw:
            url = raw.url.replace("127.0.0.1", "localhost")
            async with ManagementServer(ManagementAccess(url, token_login("t"), ours.certificate), FAST) as server:
                await server.ask(requests.user_info())

    with pytest.raises(ServerLinkError, match="is not trusted"):
        asyncio.run(run())


def test_a_file_of_authorities_that_is_none_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "ca.pem"
    bad.write_text("no certificate")

    async def run() -> None:
        async with ManagementServer(ManagementAccess("https://localhost:1", token_login("t"), bad)):
            pass

    with pytest.raises(ServerLinkError, match=r"ca\.pem"):
        asyncio.run(run())


@pytest.mark.parametrize("url", ["http://hawkbit.example.com", "http://10.0.0.7:8080/"])
def test_a_login_goes_to_no_other_computer_without_tls(url: str) -> None:
    with pytest.raises(ServerLinkError, match="everybody on the way can read the login"):
        ManagementAccess(url, token_login("t"))
    assert ManagementAccess(url, token_login("t"), insecure_http=True).url == url
    for here in ("http://127.0.0.1:8080", "http://localhost", "http://[::1]:8080", "https://hawkbit.example.com/x/"):
        ManagementAccess(here, token_login("t"))


@pytest.mark.parametrize("url", ["hawkbit.example.com", "ftp://a", "https://u:p@a", "https://a/?q=1", "", "https://"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        ManagementAccess(url, token_login("t"))


@pytest.mark.parametrize(("user", "password"), [("", "p"), ("a:b", "p"), ("a\n", "p"), ("a", ""), ("a", "p\r\nX: y")])
def test_logins_that_cannot_be_are_refused_without_the_password(user: str, password: str) -> None:
    with pytest.raises(ValueError, match=r"user name|password") as caught:
        password_login(user, password)
    assert "X: y" not in str(caught.value)


@pytest.mark.parametrize("token", ["", "a b", "a\n", "é", "x" * 5000])
def test_tokens_that_cannot_be_are_refused_without_them(token: str) -> None:
    with pytest.raises(ValueError, match="token") as caught:
        token_login(token)
    assert not token or token not in str(caught.value)
