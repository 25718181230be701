"""What an update server says to a gateway agent, with small answers to start from."""

from __future__ import annotations

from contextlib import suppress

from fuzz.target import Target
from smpdfu.agent.ddi.links import check_artifact_link, parse_url, redirected
from smpdfu.agent.ddi.polling import MOST_INTERVAL_S, interval_of, retry_after_of
from smpdfu.agent.ddi.resources import Base, Cancel, Deployment, Refusal, read_confirmation
from smpdfu.agent.ddi.server_address import ServerAddress
from smpdfu.errors import ServerProtocolError

BASE = (
    b'{"config":{"polling":{"sleep":"00:05:00"}},"_links":{"deploymentBase":{"href":'
    b'"https://hawkbit.example.com/DEFAULT/controller/v1/dev/deploymentBase/8?c=-21"},'
    b'"cancelAction":{"href":"https://hawkbit.example.com/x"}}}'
)
ACTION = (
    b'{"download":"forced","update":"attempt","maintenanceWindow":"available","chunks":[{"part":"os","version":"1",'
    b'"name":"roof","metadata":[{"key":"k","value":"v"}],"artifacts":[{"filename":"f.zip","size":11,"hashes":{"sha256":'
    b'"971d8db88fef8e7a3e6d5bbf501d69b07d0c300d9be948aff8b52960ef039358"},"_links":{"download":{"href":"https://h/f"},'
    b'"download-http":{"href":"http://h/f"}}}]}]}'
)
DEPLOYMENT = b'{"id":"8","deployment":' + ACTION + b',"actionHistory":{"status":"RUNNING","messages":["a"]}}'
CONFIRMATION = b'{"id":8,"confirmation":' + ACTION + b"}"
CONFIRMATION_BASE = b'{"autoConfirm":{"active":true,"initiator":"x"},"_links":{"confirmationBase":{"href":"https://h/confirmationBase/9"}}}'
CANCEL = b'{"id":"11","cancelAction":{"stopId":"8"}}'
REFUSAL = b'{"errorCode":"hawkbit.server.error.quota.tooManyEntries","message":"too many"}'
LINKS = (
    b"https://hawkbit.example.com:443/a%20b/c?d=e&f=1",
    b"http://[::1]:8080/x",
    b"//cdn.example/f",
    "https://h/\u00fc \u00e9".encode(),
)
SERVER = ServerAddress("https://hawkbit.example.com")


def read_answers(data: bytes) -> object:
    """Every resource of DDI; what is read has its interval within bounds."""
    Refusal.from_bytes(data)
    found: list[object] = []
    for read in (Base.from_bytes, Deployment.from_bytes, Cancel.from_bytes, read_confirmation):
        with suppress(ServerProtocolError):
            found.append(read(data))
    for one in found:
        assert not isinstance(one, Base) or 30 <= interval_of(one.sleep) <= MOST_INTERVAL_S
    return found


def read_link(data: bytes) -> object:
    """A link, as an artifact's and as a redirect's: what is taken is taken again the same."""
    text = data.decode("utf-8", "surrogateescape")
    retry_after_of({"Retry-After": text, "Date": text})
    interval_of(text)
    elsewhere = check_artifact_link("https://cdn.example/f", SERVER.origin)
    with suppress(ServerProtocolError):
        assert not redirected(elsewhere, text, SERVER.origin).token
    link = check_artifact_link(text, SERVER.origin)
    assert parse_url(link.url) == (link.url, link.origin)
    assert link.token == (link.origin == SERVER.origin)
    return link


SERVER_TARGETS = {
    "ddi": Target(read_answers, (BASE, DEPLOYMENT, CONFIRMATION, CONFIRMATION_BASE, CANCEL, REFUSAL), ()),
    "ddilink": Target(read_link, LINKS, (ServerProtocolError,)),
}
