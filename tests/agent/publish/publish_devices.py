"""Devices of a rollout that say how their updates end, through the device API of any server."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.client import HTTPConnection
from urllib.parse import quote, urlsplit

from tests.agent.servers.management import HawkbitServer


def close_actions(server: HawkbitServer, devices: list[str], good: Callable[[str], bool], why: str = "") -> int:
    """Close the open action of each device, as a success or with ``why`` as a failure; how many there were."""
    closed = 0
    for device in devices:
        for action in server.actions(device):
            if action.active:
                _close(server, device, action.number, good=good(device), why=why)
                closed += 1
    return closed


def _close(server: HawkbitServer, device: str, action: str, *, good: bool, why: str) -> None:
    result = {"finished": "success" if good else "failure"}
    status = {"execution": "closed", "result": result, "details": ["done" if good else why]}
    path = f"/{server.tenant}/controller/v1/{quote(device, safe='')}/deploymentBase/{action}/feedback"
    headers = {"Authorization": f"GatewayToken {server.gateway_token()}", "Content-Type": "application/json"}
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=60)
    try:
        connection.request("POST", path, json.dumps({"status": status}), headers)
        answer = connection.getresponse()
        assert answer.status < 300, (answer.status, answer.read()[:300])
    finally:
        connection.close()
