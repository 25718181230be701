"""The HTTP client of DDI against a server on loopback: what it asks, what it sends, what it makes of each status."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from smpdfu.agent.ddi.answers import Reaction, reaction
from smpdfu.agent.ddi.config_data import AssignedVersion, ConfigData
from smpdfu.agent.ddi.feedback import Confirmation, ConfirmationFeedback, Execution, Feedback, Finished
from smpdfu.agent.ddi.resources import Base, Cancel, Deployment, Handling
from smpdfu.agent.ddi.server_address import ServerAddress, Token
from smpdfu.agent.server.client import MAX_KEPT_BYTES, DdiClient
from smpdfu.errors import ServerProtocolError, ServerRefusedError
from tests.agent.server.raw_server import RawServer, Request, Respond, always, answer, raw_server

SECRET = "s3cret-0123456789"
SKIP = b'{"id":"8","deployment":{"download":"skip","update":"skip","chunks":[]}}'
CONFIRM = b'{"id":"8","confirmation":{"download":"skip","update":"skip","chunks":[]}}'
ACTION = Deployment("8", Handling.SKIP, Handling.SKIP)

Work = Callable[[DdiClient, RawServer], Awaitable[object]]


def serve(respond: Respond, work: Work, url: str = "{url}") -> RawServer:
    """Run ``work`` with a client against a server that answers with ``respond``; return the server for its requests."""

    async def main() -> RawServer:
        async with raw_server(respond) as server:
            address = ServerAddress(url.format(url=server.url))
            async with DdiClient(address, lambda _: Token.of_gateway(SECRET)) as client:
                await work(client, server)
            return server

    return asyncio.run(main())


def raised_by(respond: Respond, work: Work, kind: type[Exception]) -> Exception:
    """The error of ``work``, which says nothing of the token."""
    with pytest.raises(kind) as raised:
        serve(respond, work)
    text = f"{raised.value!r} {raised.value} {vars(raised.value)}"
    assert SECRET not in text
    assert raised.value.__cause__ is None
    assert str(raised.value).isprintable()
    return raised.value


async def poll(client: DdiClient, server: RawServer) -> object:
    return await client.get_base("roof")


def test_a_poll_asks_for_the_target_and_shows_the_token() -> None:
    server = serve(always(answer(b"{}")), lambda client, _: client.get_base("a/b \u00fc?#"))
    (request,) = server.requests
    assert (request.method, request.path) == ("GET", "/DEFAULT/controller/v1/a%2Fb%20%C3%BC%3F%23")
    assert request.headers["authorization"] == f"GatewayToken {SECRET}"
    assert request.headers["accept"] == "application/hal+json, application/json"
    assert request.headers["user-agent"].startswith("smpdfu/")
    assert "cookie" not in request.headers


def test_each_device_has_its_own_token_and_none_is_none() -> None:
    async def main() -> list[str | None]:
        async with raw_server(always(answer(b"{}"))) as server:
            tokens = {"a": Token.of_target("ta"), "b": Token.of_target("tb")}
            async with DdiClient(ServerAddress(server.url), tokens.get) as client:
                for name in ("a", "b", "c"):
                    await client.get_base(name)
            return [one.headers.get("authorization") for one in server.requests]

    assert asyncio.run(main()) == ["TargetToken ta", "TargetToken tb", None]


def test_many_polls_need_few_connections() -> None:
    async def work(client: DdiClient, server: RawServer) -> None:
        for _ in range(5):
            await asyncio.gather(*(client.get_base(f"d{number}") for number in range(40)))

    server = serve(always(answer(b"{}")), work)
    assert len(server.requests) == 200
    assert server.connections <= 8


def test_what_did_not_change_is_the_same_object() -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        tag = f'"{request.path}"'
        same = request.headers.get("if-none-match") == tag
        writer.write(answer(status="304 Not Modified") if same else answer(b"{}", headers={"ETag": tag}))

    async def work(client: DdiClient, server: RawServer) -> None:
        first, other = await client.get_base("a"), await client.get_base("b")
        assert await client.get_base("a") is first
        assert await client.get_base("b") is other

    assert len(serve(respond, work).requests) == 4


def test_what_is_kept_is_bounded_in_bytes() -> None:
    """A server with large answers for many devices: what nobody asked for the longest time is got anew."""

    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        tags.append(request.headers.get("if-none-match"))
        writer.write(answer(b'{"x": "%s"}' % (b"x" * 1_000_000), headers={"ETag": '"1"'}))

    tags: list[str | None] = []

    async def work(client: DdiClient, server: RawServer) -> None:
        for name in ("first", *map(str, range(MAX_KEPT_BYTES // 1_000_000)), "first", "0", "last", "last"):
            await client.get_base(name)
        assert 0 < client._kept_bytes <= MAX_KEPT_BYTES

    serve(respond, work)
    assert (tags[-4], tags[-1]) == (None, '"1"')


def test_answers_to_two_requests_at_once_are_counted_once() -> None:
    """Otherwise the sum grows for as long as the agent runs, until nothing is left that could be forgotten."""

    async def respond(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b'{"x": "%s"}' % (b"x" * 1_000_000), headers={"ETag": '"1"'}))

    async def work(client: DdiClient, server: RawServer) -> None:
        for _ in range(2 * MAX_KEPT_BYTES // 1_000_000):
            await asyncio.gather(client.get_base("a"), client.get_base("a"))
        assert client._kept_bytes == sum(size for _, _, size in client._kept.values()) > 0

    serve(respond, work)


def test_nothing_changed_is_no_answer_to_a_first_question() -> None:
    error = raised_by(always(answer(status="304 Not Modified")), poll, ServerProtocolError)
    assert "nothing changed" in str(error)


def test_an_error_forgets_what_was_kept() -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        broken = len(seen) == 1
        seen.append(request.headers.get("if-none-match"))
        writer.write(answer(b"{]" if broken else b"{}", headers={"ETag": '"1"'}))

    seen: list[str | None] = []

    async def work(client: DdiClient, server: RawServer) -> None:
        await client.get_base("a")
        with pytest.raises(ServerProtocolError):
            await client.get_base("a")
        assert await client.get_base("a") == Base()

    serve(respond, work)
    assert seen == [None, '"1"', None]


def test_an_odd_etag_is_not_sent_back() -> None:
    async def work(client: DdiClient, server: RawServer) -> None:
        await client.get_base("a")
        await client.get_base("a")

    for tag in ('"' + "x" * 300 + '"', '"\xe4"', ""):
        server = serve(always(answer(b"{}", headers={"ETag": tag})), work)
        assert "if-none-match" not in server.requests[1].headers


def test_resources_are_got_by_their_links() -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        bodies = {"c": b'{"id":"9","cancelAction":{"stopId":"8"}}', "f": CONFIRM}
        writer.write(answer(bodies.get(request.path[1], SKIP)))

    async def work(client: DdiClient, server: RawServer) -> None:
        assert await client.get_deployment("roof", f"{server.url}/d/8?c=-1") == ACTION
        assert await client.get_deployment("roof", f"{server.url}/d/8?c=-1", history=5) == ACTION
        assert await client.get_installed("roof", f"{server.url}/i/8") == ACTION
        assert await client.get_cancel("roof", f"{server.url}/c/9") == Cancel("9", "8")
        assert await client.get_confirmation("roof", f"{server.url}/f/8") == ACTION

    paths = [one.path for one in serve(respond, work).requests]
    assert paths == ["/d/8?c=-1", "/d/8?c=-1&actionHistory=5", "/i/8", "/c/9", "/f/8"]


def test_a_confirmation_base_leads_to_the_action_or_to_none() -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        port = writer.get_extra_info("sockname")[1]
        link = {"confirmationBase": {"href": f"http://127.0.0.1:{port}/action"}}
        state = {"autoConfirm": {"active": False}}
        bodies = {"/with": {**state, "_links": link}, "/without": state}
        writer.write(answer(CONFIRM if request.path == "/action" else json.dumps(bodies[request.path]).encode()))

    async def work(client: DdiClient, server: RawServer) -> None:
        assert await client.get_confirmation("roof", f"{server.url}/with") == ACTION
        assert await client.get_confirmation("roof", f"{server.url}/without") is None

    assert [one.path for one in serve(respond, work).requests] == ["/with", "/action", "/without"]


def test_what_is_sent_goes_to_the_link_or_to_the_documented_address() -> None:
    done = Feedback(Execution.CLOSED, Finished.SUCCESS, ("done",))
    yes = ConfirmationFeedback(Confirmation.CONFIRMED)
    base = "/DEFAULT/controller/v1/a%2Fb"

    async def work(client: DdiClient, server: RawServer) -> None:
        await client.put_config_data("a/b", ConfigData({"k": "v"}), f"{server.url}/x/configData")
        await client.put_config_data("a/b", ConfigData({"k": "v"}))
        await client.put_installed("a/b", AssignedVersion("roof", "1"))
        await client.send_feedback("a/b", "8/../9", done, f"{server.url}/x/8?c=-1")
        await client.send_feedback("a/b", "8/../9", done)
        await client.send_cancel_feedback("a/b", "9", done)
        await client.confirm("a/b", "8", yes)
        await client.set_auto_confirm("a/b", True, initiator="ann")
        await client.set_auto_confirm("a/b", False)

    requests = serve(always(answer()), work).requests
    assert [(one.method, one.path, one.body) for one in requests] == [
        ("PUT", "/x/configData", ConfigData({"k": "v"}).to_bytes()),
        ("PUT", f"{base}/configData", ConfigData({"k": "v"}).to_bytes()),
        ("PUT", f"{base}/installedBase", b'{"name":"roof","version":"1"}'),
        ("POST", "/x/8/feedback", done.to_bytes()),
        ("POST", f"{base}/deploymentBase/8%2F..%2F9/feedback", done.to_bytes()),
        ("POST", f"{base}/cancelAction/9/feedback", done.to_bytes()),
        ("POST", f"{base}/confirmationBase/8/feedback", yes.to_bytes()),
        ("POST", f"{base}/confirmationBase/activateAutoConfirm", b'{"initiator":"ann"}'),
        ("POST", f"{base}/confirmationBase/deactivateAutoConfirm", b"{}"),
    ]
    assert {one.headers["content-type"] for one in requests} == {"application/json"}


STATUSES = {
    "400 Bad Request": Reaction.REFUSED,
    "401 Unauthorized": Reaction.CREDENTIALS,
    "403 Forbidden": Reaction.CREDENTIALS,
    "404 Not Found": Reaction.UNKNOWN,
    "409 Conflict": Reaction.CONFLICT,
    "410 Gone": Reaction.OVER,
    "413 Content Too Large": Reaction.REFUSED,
    "429 Too Many Requests": Reaction.WAIT,
    "500 Internal Server Error": Reaction.LATER,
    "503 Service Unavailable": Reaction.LATER,
}


@pytest.mark.parametrize(("status", "expected"), STATUSES.items())
def test_a_refusal_has_status_code_and_pause(status: str, expected: Reaction) -> None:
    data = answer(
        b'{"errorCode":"some.code","message":"why\\u001b[2J not"}', status=status, headers={"Retry-After": "7"}
    )
    for work in (poll, lambda client, _: client.send_feedback("roof", "8", Feedback(Execution.DOWNLOAD))):
        error = raised_by(always(data), work, ServerRefusedError)
        assert isinstance(error, ServerRefusedError)
        assert (error.status, error.server_code, error.retry_after_s) == (int(status[:3]), "some.code", 7.0)
        assert reaction(error.status, error.server_code) is expected
        assert str(error).endswith(f"(HTTP {status[:3]}): why\ufffd[2J not")
        assert "/DEFAULT/controller/v1/roof" in error.url


def test_a_refusal_without_json_is_a_refusal_too() -> None:
    data = answer(b"<html>" + b"x" * 9000, status="503 Service Unavailable", kind="text/html")
    error = raised_by(always(data), poll, ServerRefusedError)
    assert str(error) == "the server has a problem (HTTP 503)"


def test_a_redirect_within_the_server_is_followed() -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        moved = request.path.startswith("/DEFAULT")
        writer.write(answer(status="307 x", headers={"Location": "/new?a=1"}) if moved else answer(b"{}"))

    done = Feedback(Execution.DOWNLOAD)

    async def work(client: DdiClient, server: RawServer) -> None:
        await client.get_base("roof")
        await client.send_feedback("roof", "8", done)

    requests = serve(respond, work).requests
    assert [(one.method, one.path) for one in requests[1::2]] == [("GET", "/new?a=1"), ("POST", "/new?a=1")]
    assert requests[3].body == done.to_bytes()
    assert all(one.headers["authorization"] for one in requests)


def test_a_login_page_that_takes_feedback_is_not_the_server() -> None:
    data = answer(b"<html>Please log in</html>", kind="text/html")
    error = raised_by(
        always(data),
        lambda client, _: client.send_feedback("roof", "8", Feedback(Execution.DOWNLOAD)),
        ServerProtocolError,
    )
    assert isinstance(error, ServerProtocolError)
    assert error.code == "web-page"


def test_a_redirect_of_feedback_that_would_lose_it_is_refused() -> None:
    data = answer(status="302 Found", headers={"Location": "/login"})
    error = raised_by(
        always(data),
        lambda client, _: client.send_feedback("roof", "8", Feedback(Execution.DOWNLOAD)),
        ServerRefusedError,
    )
    assert isinstance(error, ServerRefusedError)
    assert error.status == 302


def test_redirects_end() -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(status="302 Found", headers={"Location": request.path + "x"}))

    error = raised_by(respond, poll, ServerProtocolError)
    assert "redirects more than 5 times" in str(error)


def test_the_token_goes_to_no_other_host() -> None:
    async def main() -> list[Request]:
        async with raw_server(always(answer(b"{}"))) as other:
            gone = always(answer(status="302 Found", headers={"Location": f"{other.url}/steal"}))
            async with raw_server(gone) as server:
                token = Token.of_gateway(SECRET)
                async with DdiClient(ServerAddress(server.url), lambda _: token) as client:
                    with pytest.raises(ServerProtocolError, match="does not send the token there"):
                        await client.get_base("roof")
                    for link in (f"{other.url}/x", "http://localhost/x", "https://127.0.0.1/x"):
                        with pytest.raises(ServerProtocolError, match="does not send the token there"):
                            await client.get_deployment("roof", link)
                        with pytest.raises(ServerProtocolError, match="does not send the token there"):
                            await client.send_feedback("roof", "8", Feedback(Execution.DOWNLOAD), link)
            return other.requests

    assert asyncio.run(main()) == []


def test_a_server_behind_a_path_is_asked_there() -> None:
    server = serve(always(answer(b"{}")), poll, "{url}/hawkbit/")
    assert server.requests[0].path == "/hawkbit/DEFAULT/controller/v1/roof"


def test_cookies_are_not_kept() -> None:
    async def work(client: DdiClient, server: RawServer) -> None:
        await client.get_base("a")
        await client.get_base("a")

    server = serve(always(answer(b"{}", headers={"Set-Cookie": "session=1"})), work)
    assert all("cookie" not in one.headers for one in server.requests)


def test_a_client_that_is_not_open_is_our_own_mistake() -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="not open"):
            await DdiClient(ServerAddress("http://127.0.0.1:9"), lambda _: None).get_base("a")

    asyncio.run(main())
