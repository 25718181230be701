"""The stand-in's Direct Device Integration API: ``/{tenant}/controller/v1/{controllerId}``."""

from __future__ import annotations

import hmac
import json
import re
from typing import Any
from urllib.parse import quote

from aiohttp import web

from tests.agent.servers.stand_in.repository import SERVER, RefusedError, Repository
from tests.agent.servers.stand_in.state import Action, Module, Target

REPOSITORY = web.AppKey("repository", Repository)
TENANT = "DEFAULT"
BASE = "/{tenant}/controller/v1/{controller}"
EXECUTIONS = frozenset(
    {"closed", "proceeding", "canceled", "scheduled", "rejected", "resumed", "downloaded", "download"}
)
FINISHED = frozenset({"success", "failure", "none"})
ACTION_BODY_MAX = 1 << 20

routes = web.RouteTableDef()


def repository(request: web.Request) -> Repository:
    """What the server keeps."""
    return request.app[REPOSITORY]


def authenticate(request: web.Request) -> None:
    """Raise 401 unless the header has the gateway's token or the target's own.

    400 for ids that hawkBit's firewall keeps out, although its operators can create targets that are called so.
    """
    kept = repository(request)
    if re.search(r"[/\\;%]", request.match_info["controller"]):
        raise RefusedError(400, "the path is not allowed")
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if request.match_info["tenant"].upper() != TENANT:
        raise RefusedError(401, "no such tenant")
    target = kept.targets.get(request.match_info["controller"])
    wanted = {
        "gatewaytoken": (
            kept.config["authentication.gatewaytoken.enabled"],
            kept.config["authentication.gatewaytoken.key"],
        ),
        "targettoken": (kept.config["authentication.targettoken.enabled"], target.token if target else ""),
    }
    enabled, secret = wanted.get(scheme.lower(), (False, ""))
    if not (enabled and secret and hmac.compare_digest(secret.encode(), token.encode())):
        raise RefusedError(401, "not authenticated")


def _known(request: web.Request) -> Target:
    return repository(request).target(request.match_info["controller"])


def _action(request: web.Request) -> Action:
    """The action of the path, if it is the target's."""
    target, number = _known(request), request.match_info["action"]
    if not number.isascii() or not number.isdigit():
        raise RefusedError(400, "an action is a number")
    action = repository(request).actions.get(int(number))
    if action is None or action.target is not target:
        raise RefusedError(404, "not an action of this target")
    return action


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        found = json.loads(await request.read())
    except ValueError:
        raise RefusedError(400, "the body is not JSON") from None
    if not isinstance(found, dict):
        raise RefusedError(400, "the body is no object")
    return found


def _link(request: web.Request, *parts: object, query: str = "") -> dict[str, str]:
    path = "/".join(quote(str(part), safe="") for part in (request.match_info["controller"], *parts))
    return {"href": f"{request.url.origin()}/{TENANT}/controller/v1/{path}{query}"}


def _etag(action: Action) -> str:
    opened = action.window is not None and action.window.is_open()
    return f"?c={hash((action.number, action.status, action.kind, action.is_forced, opened)) & 0x7FFF_FFFF}"


@routes.get(BASE)
async def base(request: web.Request) -> web.Response:
    """What the device should do next."""
    kept = repository(request)
    target = kept.polled(request.match_info["controller"])
    action = target.active_action()
    kept.cancel_if_lapsed(action)
    links = {}
    if action is not None:
        if action.status == "wait_for_confirmation":
            links["confirmationBase"] = _link(request, "confirmationBase", action.number, query=_etag(action))
        elif action.is_canceling:
            links["cancelAction"] = _link(request, "cancelAction", action.number)
        else:
            links["deploymentBase"] = _link(request, "deploymentBase", action.number, query=_etag(action))
    installed = target.installed_action()
    if installed is not None:
        links["installedBase"] = _link(request, "installedBase", installed.number)
    if target.wants_attributes:
        links["configData"] = _link(request, "configData")
    found: dict[str, Any] = {"config": {"polling": {"sleep": kept.config["pollingTime"]}}}
    return web.json_response({**found, "_links": links} if links else found)


@routes.put(BASE + "/configData")
async def config_data(request: web.Request) -> web.Response:
    """What the device says of itself."""
    body = await _body(request)
    data, mode = body.get("data"), body.get("mode") or "merge"
    if not isinstance(data, dict) or mode not in ("merge", "replace", "remove"):
        raise RefusedError(400, "configData has data, and a mode of merge, replace or remove")
    if not all(value is None or isinstance(value, str | int | float | bool) for value in data.values()):
        raise RefusedError(400, "a value of an attribute is a text")
    texts = {key: None if value is None else str(value) for key, value in data.items()}
    repository(request).set_attributes(request.match_info["controller"], mode, texts)
    return web.Response()


def _deployment(request: web.Request, action: Action) -> dict[str, Any]:
    handling = "forced" if action.kind == "downloadonly" or action.is_forced else "attempt"
    window = action.window
    skipped = action.kind == "downloadonly" or (window is not None and not window.is_open())
    deployment: dict[str, Any] = {"download": handling, "update": "skip" if skipped else handling}
    if window is not None:
        deployment["maintenanceWindow"] = "available" if window.is_open() else "unavailable"
    deployment["chunks"] = [_chunk(request, module) for module in action.ds.modules]
    found: dict[str, Any] = {"id": str(action.number), "deployment": deployment}
    wanted = int(request.query.get("actionHistory", "0"))
    told = [word for status in reversed(action.history) for word in status.messages if not word.startswith(SERVER)]
    if wanted and told:
        found["actionHistory"] = {"status": action.status.upper(), "messages": told[: wanted if wanted > 0 else 100]}
    return found


def _chunk(request: web.Request, module: Module) -> dict[str, Any]:
    part = {"application": "bApp", "runtime": "jvm"}.get(module.kind, module.kind)
    chunk: dict[str, Any] = {"part": part, "version": module.version, "name": module.name}
    chunk["artifacts"] = [
        {
            "filename": one.filename,
            "hashes": one.hashes,
            "size": len(one.data),
            "_links": {
                "download-http": _link(request, "softwaremodules", module.number, "artifacts", one.filename),
                "md5sum-http": _link(request, "softwaremodules", module.number, "artifacts", one.filename + ".MD5SUM"),
            },
        }
        for one in module.artifacts.values()
    ]
    visible = [{"key": key, "value": value} for key, (value, seen) in module.metadata.items() if seen]
    return {**chunk, "metadata": visible} if visible else chunk


@routes.get(BASE + "/deploymentBase/{action}")
async def deployment_base(request: web.Request) -> web.Response:
    """What an action installs."""
    action = _action(request)
    repository(request).cancel_if_lapsed(action)
    if action.is_canceling or action.status == "wait_for_confirmation":
        raise RefusedError(404)
    repository(request).retrieved(action, "Target retrieved update action and should start now the download.")
    return web.json_response(_deployment(request, action))


@routes.get(BASE + "/installedBase/{action}")
async def installed_base(request: web.Request) -> web.Response:
    """What an action that is over installed."""
    action = _action(request)
    if action.active or action.is_canceling:
        raise RefusedError(404)
    return web.json_response(_deployment(request, action))


@routes.get(BASE + "/cancelAction/{action}")
async def cancel_action(request: web.Request) -> web.Response:
    """Which action to stop."""
    action = _action(request)
    if not action.is_canceling:
        raise RefusedError(404)
    repository(request).retrieved(action, "Target retrieved cancel action and should start now the cancellation.")
    return web.json_response({"id": str(action.number), "cancelAction": {"stopId": str(action.number)}})


async def _feedback(request: web.Request) -> tuple[str, str, list[str], int | None]:
    """Execution, result, messages and code of a feedback. Raises 400 for another form."""
    status = (await _body(request)).get("status")
    result = status.get("result") if isinstance(status, dict) else None
    if not isinstance(status, dict) or not isinstance(result, dict):
        raise RefusedError(400, "feedback has a status with a result")
    execution, finished = status.get("execution"), result.get("finished")
    details, code = status.get("details") or [], status.get("code")
    details = [details] if isinstance(details, str) else details
    if execution not in EXECUTIONS or finished not in FINISHED or not (code is None or isinstance(code, int)):
        raise RefusedError(400, "execution, result.finished or code is of another form")
    if not isinstance(details, list) or not all(isinstance(one, str) for one in details):
        raise RefusedError(400, "details are texts")
    messages = list(details)
    if code is not None:
        messages.append(f"Device reported status code: {code}")
    return execution, finished, messages, code


@routes.post(BASE + "/deploymentBase/{action}/feedback")
async def feedback(request: web.Request) -> web.Response:
    """What becomes of an action."""
    action = _action(request)
    execution, finished, messages, code = await _feedback(request)
    if action.status == "wait_for_confirmation":
        raise RefusedError(404)
    if not action.active:
        raise RefusedError(410)
    kinds = {"canceled": "canceled", "rejected": "warning", "download": "download", "downloaded": "downloaded"}
    kind = kinds.get(execution, "running")
    if execution == "closed":
        kind = "error" if finished == "failure" else "finished"
    told = messages or [SERVER + f"Target reported {execution.upper()}."]
    repository(request).feedback(action, kind, told, code)
    return web.Response()


@routes.post(BASE + "/cancelAction/{action}/feedback")
async def cancel_feedback(request: web.Request) -> web.Response:
    """Whether the device stopped an action."""
    action = _action(request)
    execution, finished, messages, code = await _feedback(request)
    kind = {"canceled": "warning", "rejected": "cancel_rejected"}.get(execution, "running")
    if execution == "rejected":
        messages = [SERVER + "Target rejected the cancellation request.", *messages]
    if execution == "closed":
        kind = "error" if finished == "failure" else "canceled"
    repository(request).cancel_feedback(action, kind, messages, code)
    return web.Response()


@routes.get(BASE + "/confirmationBase")
async def confirmations(request: web.Request) -> web.Response:
    """Whether something waits for a confirmation."""
    target = repository(request).polled(request.match_info["controller"])
    switch = "deactivateAutoConfirm" if target.auto_confirm else "activateAutoConfirm"
    links = {switch: _link(request, "confirmationBase", switch)}
    action = target.active_action()
    if action is not None and action.status == "wait_for_confirmation":
        links["confirmationBase"] = _link(request, "confirmationBase", action.number, query=_etag(action))
    return web.json_response({"autoConfirm": {"active": target.auto_confirm}, "_links": links})


@routes.get(BASE + "/confirmationBase/{action}")
async def confirmation(request: web.Request) -> web.Response:
    """What waits for a confirmation."""
    action = _action(request)
    if action.is_canceling or action.status != "wait_for_confirmation":
        raise RefusedError(404)
    found = _deployment(request, action)
    return web.json_response({**found, "confirmation": found.pop("deployment")})


@routes.post(BASE + "/confirmationBase/{action}/feedback")
async def confirmation_feedback(request: web.Request) -> web.Response:
    """Confirmed or denied."""
    body, action = await _body(request), _action(request)
    if body.get("confirmation") not in ("confirmed", "denied"):
        raise RefusedError(400, "confirmation is confirmed or denied")
    messages = [str(one) for one in body.get("details") or []]
    confirmed = body["confirmation"] == "confirmed"
    repository(request).confirm(action, confirmed=confirmed, messages=messages, code=body.get("code"))
    return web.Response()


@routes.get(BASE + "/softwaremodules/{module}/artifacts/{file}")
async def artifact(request: web.Request) -> web.StreamResponse:
    """A file of a module that an open action of this target has."""
    kept, target = repository(request), _known(request)
    module = kept.one(kept.modules, int(request.match_info["module"]))
    found = module.artifacts.get(request.match_info["file"])
    open_ones = (one for one in target.actions if one.active and not one.is_canceling and module in one.ds.modules)
    action = next(open_ones, None)
    if found is None or action is None:
        raise RefusedError(404)
    etag = found.hashes["sha1"]
    headers = {"ETag": f'"{etag}"', "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
    try:
        asked = request.http_range
    except ValueError:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(found.data)}"})
    if asked.start is None or request.headers.get("If-Range", f'"{etag}"') != f'"{etag}"':
        kept.note(action, "download", [SERVER + f"Target downloads {request.path}"])
        return web.Response(body=found.data, headers=headers)
    start, stop, _ = asked.indices(len(found.data))
    if start >= stop:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(found.data)}"})
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(found.data)}"
    return web.Response(status=206, body=found.data[start:stop], headers=headers)
