"""Which links an agent follows, and which see the token."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from smpdfu.agent.ddi.links import (
    Link,
    Origin,
    check_artifact_link,
    check_resource_link,
    feedback_link,
    parse_url,
    path_segment,
    redirected,
    redirected_resource,
    with_history,
)
from smpdfu.agent.ddi.server_address import ServerAddress, Token
from smpdfu.errors import ServerProtocolError

SERVER = Origin("https", "hawkbit.example.com", 443)
PLAIN = Origin("http", "127.0.0.1", 8080)


@pytest.mark.parametrize(
    ("url", "quoted", "origin"),
    [
        ("https://hawkbit.example.com", "https://hawkbit.example.com/", SERVER),
        ("HTTPS://Hawkbit.Example.COM:443/a", "https://hawkbit.example.com/a", SERVER),
        ("https://hawkbit.example.com./a", "https://hawkbit.example.com/a", SERVER),
        ("http://127.0.0.1:8080/a?c=-12", "http://127.0.0.1:8080/a?c=-12", PLAIN),
        ("http://[::1]:8080/", "http://[::1]:8080/", Origin("http", "[::1]", 8080)),
        ("https://hawkbit.example.com/a b/ü%2F", "https://hawkbit.example.com/a%20b/%C3%BC%2F", SERVER),
        ("https://hawkbit.example.com/a?x=<>&y=%20", "https://hawkbit.example.com/a?x=%3C%3E&y=%20", SERVER),
    ],
)
def test_an_address_is_put_together_anew(url: str, quoted: str, origin: Origin) -> None:
    assert parse_url(url) == (quoted, origin)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/DEFAULT/controller",
        "//hawkbit.example.com/",
        "ftp://hawkbit.example.com/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https:hawkbit.example.com",
        "https:///path",
        "https://",
        "https://user@hawkbit.example.com/",
        "https://user:word@hawkbit.example.com/",
        "https://hawkbit.example.com@evil.example/",
        "https://hawkbit.example.com\\@evil.example/",
        "https://hawkbit.example.com/#part",
        "https://hawkbit.example.com/#",
        "https://hawkbit.example.com/\r\nX: y",
        "https://hawkbit.example.com/\t",
        "https://hawkbit.example.com/\u202e",
        "https://hawkbit.example.com/\ud800",
        "https://hawkbit.example.com:0/",
        "https://hawkbit.example.com:65536/",
        "https://hawkbit.example.com:+443/",
        "https://hawkbit.example.com:/",
        "https://hawkbit.example.com:\u0664/",
        "https://h\u00e4wkbit.example.com/",
        "https://hawkbit.example.com%2eevil.example/",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://" + "a" * 5000,
    ],
)
def test_an_odd_address_is_refused(url: str) -> None:
    with pytest.raises(ServerProtocolError) as raised:
        parse_url(url)
    assert str(raised.value).isprintable()
    assert "word" not in str(raised.value)


def test_a_resource_is_at_the_servers_own_origin() -> None:
    link = check_resource_link("https://hawkbit.example.com:443/x?c=1", SERVER)
    assert link == Link("https://hawkbit.example.com/x?c=1", SERVER, token=True)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/x",
        "http://hawkbit.example.com/x",
        "https://hawkbit.example.com:8443/x",
        "https://hawkbit.example.com.evil.example/x",
        "https://sub.hawkbit.example.com/x",
    ],
)
def test_a_resource_at_another_origin_is_refused(url: str) -> None:
    with pytest.raises(ServerProtocolError, match="does not send the token there"):
        check_resource_link(url, SERVER)


def test_an_artifact_elsewhere_gets_no_token() -> None:
    assert check_artifact_link("https://cdn.example/x?sig=1", SERVER).token is False
    assert check_artifact_link("https://hawkbit.example.com/x", SERVER).token is True
    assert check_artifact_link("http://cdn.example/x", PLAIN).token is False


def test_an_artifact_comes_over_http_only_where_that_is_allowed() -> None:
    with pytest.raises(ServerProtocolError, match="without TLS"):
        check_artifact_link("http://hawkbit.example.com/x", SERVER)
    link = check_artifact_link("http://hawkbit.example.com/x", SERVER, allow_http=True)
    assert link.token is False


def test_a_redirect_never_brings_the_token_elsewhere_or_back() -> None:
    at = check_artifact_link("https://hawkbit.example.com/a/b", SERVER)
    assert redirected(at, "c?d=1", SERVER) == Link("https://hawkbit.example.com/a/c?d=1", SERVER, token=True)
    away = redirected(at, "https://cdn.example/x", SERVER)
    assert away.token is False
    assert redirected(away, "https://hawkbit.example.com/a/b", SERVER).token is False
    with pytest.raises(ServerProtocolError, match="without TLS"):
        redirected(at, "http://hawkbit.example.com/a", SERVER)


def test_a_redirect_from_https_to_http_is_refused_under_a_server_with_http() -> None:
    away = check_artifact_link("https://cdn.example/x", PLAIN)
    with pytest.raises(ServerProtocolError, match="without TLS"):
        redirected(away, "http://cdn.example/x", PLAIN)


@pytest.mark.parametrize("location", ["", "\x00", "//evil.example/x", "https://[", "x" * 5000, "file:///etc/passwd"])
def test_a_redirect_of_a_resource_stays_at_the_server(location: str) -> None:
    at = check_resource_link("https://hawkbit.example.com/a", SERVER)
    with pytest.raises(ServerProtocolError):
        redirected_resource(at, location, SERVER)


def test_feedback_goes_to_the_resource_itself() -> None:
    at = check_resource_link("https://hawkbit.example.com/T/controller/v1/d/deploymentBase/8?c=-1", SERVER)
    assert feedback_link(at).url == "https://hawkbit.example.com/T/controller/v1/d/deploymentBase/8/feedback"
    assert with_history(at, 5).url.endswith("/8?c=-1&actionHistory=5")
    assert with_history(feedback_link(at), 5).url.endswith("/feedback?actionHistory=5")


def test_a_link_for_people_has_no_query() -> None:
    assert check_artifact_link("https://cdn.example/x?sig=secret", SERVER).shown == "https://cdn.example/x"


def test_addresses_of_a_server() -> None:
    address = ServerAddress("https://Hawkbit.example.com/prefix/", "my tenant")
    assert address.url == "https://hawkbit.example.com/prefix"
    base = "https://hawkbit.example.com/prefix/my%20tenant/controller/v1/a%2Fb%20%C3%BC"
    assert address.controller("a/b \u00fc").url == base
    assert address.controller("a/b \u00fc", "deploymentBase", "..").url == f"{base}/deploymentBase/%2E%2E"
    assert address.origin == SERVER


@pytest.mark.parametrize("url", ["hawkbit.example.com", "https://user@h/", "https://h/?x", "ftp://h", ""])
def test_an_address_that_is_none_is_a_value_error(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        ServerAddress(url)
    with pytest.raises(ValueError, match="tenant"):
        ServerAddress("https://h", "")


def test_a_token_shows_its_secret_only_in_the_header() -> None:
    token = Token.of_gateway("s3cret")
    assert token.header() == "GatewayToken s3cret"
    assert Token.of_target("a").header() == "TargetToken a"
    assert Token("Basic", "YTpi").header() == "Basic YTpi"
    assert "s3cret" not in f"{token} {token!r} {vars(type(token))}"
    for wrong in ("", "a b", "a\r\nX: y", "\u00fc"):
        with pytest.raises(ValueError, match="printable ASCII") as raised:
            Token.of_target(wrong)
        assert wrong not in str(raised.value) or not wrong


IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=256)


@settings(max_examples=200, deadline=None)
@given(IDS)
def test_an_id_is_one_segment_of_the_path_whatever_it_is(name: str) -> None:
    segment = path_segment(name)
    assert unquote(segment) == name
    assert "/" not in segment
    url = URL(ServerAddress("https://h/p").controller(name).url, encoded=True)
    assert url.raw_path == f"/p/DEFAULT/controller/v1/{segment}"


URLS = st.text(
    st.sampled_from(list("htps:/@.#?%\\[]0123456789aäe \t\r\x00-_~;&=+")) | st.characters(), max_size=60
) | st.builds(
    "{}://{}{}".format, st.sampled_from(["http", "https", "HTTP"]), st.text(max_size=20), st.text(max_size=20)
)


@settings(max_examples=500, deadline=None)
@given(URLS)
def test_what_is_taken_means_the_same_to_the_http_client(url: str) -> None:
    try:
        quoted, origin = parse_url(url)
    except ServerProtocolError:
        return
    assert quoted.isascii()
    assert quoted.isprintable()
    assert parse_url(quoted) == (quoted, origin)
    for found in (URL(quoted, encoded=True), URL(quoted)):
        assert (found.scheme, found.user, found.password, found.fragment) == (origin.scheme, None, None, "")
        assert (found.host, found.port) == (origin.host.strip("[]"), origin.port)
    assert urlsplit(quoted).netloc == str(origin).partition("://")[2]
