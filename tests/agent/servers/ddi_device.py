"""A device's side of hawkBit's protocol in as few lines as possible: so that servers are tested without our agent."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote, urlsplit


class DdiDevice:
    """One device of a server at ``url`` with an ``authorization`` header."""

    def __init__(self, url: str, tenant: str, name: str, authorization: str) -> None:
        self.url, self.name, self.authorization = url, name, authorization
        self.path = f"/{tenant}/controller/v1/{quote(name, safe='')}"
        self.headers: dict[str, str] = {}

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
        """One request: status and body; the answer's headers in ``headers``."""
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        given = {"Authorization": self.authorization, "Content-Type": "application/json"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, None if body is None else json.dumps(body).encode(), given)
            answer = connection.getresponse()
            self.headers = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, answer.read()
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """The JSON behind a link or a path."""
        split = urlsplit(path)
        status, text = self.ask("GET", split.path + (f"?{split.query}" if split.query else ""))
        assert status == 200, (status, text)
        return json.loads(text)

    def base(self) -> dict[str, Any]:
        """A poll."""
        return dict(self.get(self.path))

    def links(self) -> dict[str, str]:
        """The links of a poll."""
        return {name: one["href"] for name, one in self.base().get("_links", {}).items()}

    def say(
        self, action: str, execution: str, finished: str = "none", *details: str, where: str = "deploymentBase"
    ) -> int:
        """Feedback; the status of the answer."""
        status = {"execution": execution, "result": {"finished": finished}, "details": list(details)}
        return self.ask("POST", f"{self.path}/{where}/{action}/feedback", {"status": status})[0]
