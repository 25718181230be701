"""TLS to the server, with real certificates: always verified, private authorities, client certificates."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from smpdfu.agent.ddi.resources import Base
from smpdfu.agent.ddi.server_address import ServerAddress, Token
from smpdfu.agent.server.client import DdiClient
from smpdfu.agent.server.settings import Times, TlsFiles
from smpdfu.errors import ServerLinkError, ServerProtocolError
from tests.agent.server.certificates import Authority
from tests.agent.server.raw_server import always, answer, raw_server

LONG = Times(300, 300, 300)
GOOD = always(answer(b"{}"))


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


def ask(context: ssl.SSLContext, files: TlsFiles, path: str = "") -> tuple[Base, int]:
    """A poll over TLS; how many requests with a token the server got."""

    async def main() -> tuple[Base, int]:
        async with raw_server(GOOD, tls=context) as server:
            token = Token.of_gateway("secret")
            async with DdiClient(ServerAddress(server.url), lambda _: token, tls=files, times=LONG) as client:
                try:
                    return await client.get_base("roof"), len(server.requests)
                finally:
                    heard.extend(server.requests)

    heard: list[object] = []
    try:
        return asyncio.run(main())
    except ServerLinkError:
        assert heard == []  # nobody saw the token
        raise


def test_a_private_authority_is_trusted_where_its_file_is_given(ours: Authority) -> None:
    assert ask(ours.issue("server").server_context(), TlsFiles(ca=ours.certificate)) == (Base(), 1)


def test_a_foreign_certificate_is_not_trusted(ours: Authority, tmp_path: Path) -> None:
    foreign = Authority(tmp_path, "foreign").issue("server").server_context()
    for files in (TlsFiles(ca=ours.certificate), TlsFiles()):
        with pytest.raises(ServerLinkError, match=r"certificate of https://127\.0\.0\.1:\d+ is not trusted") as raised:
            ask(foreign, files)
        assert raised.value.code == "tls-untrusted"


def test_the_name_is_checked(ours: Authority) -> None:
    for address in ("127.0.0.2", None):
        with pytest.raises(ServerLinkError, match="is not trusted") as raised:
            ask(ours.issue("server", address=address).server_context(), TlsFiles(ca=ours.certificate))
        assert "127.0.0.1" in str(raised.value)


def test_the_date_is_checked(ours: Authority) -> None:
    expired = ours.issue("server", days=0).server_context()
    with pytest.raises(ServerLinkError, match="certificate has expired"):
        ask(expired, TlsFiles(ca=ours.certificate))


def test_an_old_version_of_tls_is_refused(ours: Authority) -> None:
    old = ours.issue("server").server_context()
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ServerLinkError, match="TLS with") as raised:
        ask(old, TlsFiles(ca=ours.certificate))
    assert raised.value.code == "tls"


def test_a_client_certificate_says_who_we_are(ours: Authority, tmp_path: Path) -> None:
    context = ours.issue("server").server_context(clients=ours.certificate)
    client = ours.issue("roof", address=None)
    both = tmp_path / "both.pem"
    both.write_bytes(client.certificate.read_bytes() + client.key.read_bytes())
    for files in (
        TlsFiles(ours.certificate, client.certificate, client.key),
        TlsFiles(ours.certificate, both),
    ):
        assert ask(context, files) == (Base(), 1)


def test_without_a_client_certificate_such_a_server_is_a_link_error(ours: Authority) -> None:
    context = ours.issue("server").server_context(clients=ours.certificate)
    with pytest.raises(ServerLinkError):
        ask(context, TlsFiles(ca=ours.certificate))


def test_files_that_cannot_be_used_are_named_at_once(ours: Authority, tmp_path: Path) -> None:
    client, other = ours.issue("roof"), ours.issue("other")
    locked = ours.issue("locked", passphrase=b"word")
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_bytes(b"no certificate")
    missing = tmp_path / "missing.pem"
    for files, said in (
        (TlsFiles(ca=missing), "missing.pem: No such file"),
        (TlsFiles(ca=nonsense), "nonsense.pem"),
        (TlsFiles(certificate=nonsense), "nonsense.pem"),
        (TlsFiles(certificate=client.certificate), "roof.crt"),
        (TlsFiles(None, client.certificate, other.key), "roof.crt"),
        (TlsFiles(None, client.certificate, missing), "No such file"),
        (TlsFiles(None, locked.certificate, locked.key), "the key has a passphrase"),
    ):
        with pytest.raises(ServerLinkError, match="smpdfu cannot use") as raised:
            asyncio.run(opened(files))
        assert said in str(raised.value)
        assert raised.value.code == "tls-files"


async def opened(files: TlsFiles) -> None:
    async with DdiClient(ServerAddress("http://127.0.0.1:9"), lambda _: None, tls=files):
        pass


@pytest.mark.parametrize("spoken", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_no_tls_where_tls_is_expected_is_a_link_error(spoken: bytes) -> None:
    async def main() -> None:
        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(spoken)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            ended.set()

        ended = asyncio.Event()
        listener = await asyncio.start_server(speak, "127.0.0.1", 0)
        async with listener:
            url = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
            async with DdiClient(ServerAddress(url), lambda _: None, times=LONG) as client:
                try:
                    await client.get_base("roof")
                finally:
                    await ended.wait()

    with pytest.raises(ServerLinkError, match="TLS with") as raised:
        asyncio.run(main())
    assert raised.value.code == "tls"


def test_a_handshake_that_does_not_come_ends() -> None:
    async def main() -> None:
        async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()
            await writer.wait_closed()
            ended.set()

        ended = asyncio.Event()
        listener = await asyncio.start_server(wait, "127.0.0.1", 0)
        async with listener:
            url = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
            times = Times(connect_s=0.2, read_s=300, request_s=300)
            async with DdiClient(ServerAddress(url), lambda _: None, times=times) as client:
                try:
                    await client.get_base("roof")
                finally:
                    await ended.wait()

    with pytest.raises(ServerLinkError, match="does not answer in time"):
        asyncio.run(main())


def test_http_links_under_https_are_not_followed(ours: Authority) -> None:
    async def main() -> int:
        async with raw_server(GOOD) as plain, raw_server(GOOD, tls=ours.issue("server").server_context()) as server:
            files = TlsFiles(ca=ours.certificate)
            async with DdiClient(ServerAddress(server.url), lambda _: None, tls=files, times=LONG) as client:
                with pytest.raises(ServerProtocolError, match="does not send the token there"):
                    await client.get_deployment("roof", f"{plain.url}/x")
            return len(plain.requests)

    assert asyncio.run(main()) == 0
