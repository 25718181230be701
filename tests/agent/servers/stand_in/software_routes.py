"""The stand-in's part of hawkBit's management API for software: modules, artifacts, distribution sets, assignments."""

from __future__ import annotations

from aiohttp import web

from tests.agent.servers.stand_in.ddi import repository
from tests.agent.servers.stand_in.management import (
    KINDS,
    ROOT,
    body,
    describe_artifact,
    describe_module,
    describe_set,
    matches,
    number,
    paged,
)
from tests.agent.servers.stand_in.repository import RefusedError
from tests.agent.servers.stand_in.state import Window

routes = web.RouteTableDef()


@routes.post(ROOT + "/softwaremodules")
async def create_modules(request: web.Request) -> web.Response:
    """Create software modules."""
    kept = repository(request)
    made = [kept.add_module(one["name"], one["version"], one["type"]) for one in await body(request)]
    return web.json_response([describe_module(request, one) for one in made], status=201)


@routes.get(ROOT + "/softwaremodules")
async def list_modules(request: web.Request) -> web.Response:
    """All software modules, or those of ``q``."""
    query, known = request.query.get("q", ""), repository(request).modules.values()
    fit = [one for one in known if matches(query, name=one.name, version=one.version, type=one.kind)]
    return paged(request, [describe_module(request, one) for one in fit])


@routes.get(ROOT + "/softwaremodules/{module}")
async def get_module(request: web.Request) -> web.Response:
    """One software module."""
    kept = repository(request)
    return web.json_response(describe_module(request, kept.one(kept.modules, number(request, "module"))))


@routes.post(ROOT + "/softwaremodules/{module}/artifacts")
async def upload(request: web.Request) -> web.Response:
    """Put a file into a software module."""
    kept, field = repository(request), (await request.post()).get("file")
    if not isinstance(field, web.FileField):
        raise RefusedError(400, "there is no file")
    filename = request.query.get("filename") or field.filename
    module = kept.one(kept.modules, number(request, "module"))
    made = kept.add_artifact(module.number, filename, field.file.read())
    return web.json_response(describe_artifact(request, module, made), status=201)


@routes.get(ROOT + "/softwaremodules/{module}/artifacts")
async def list_artifacts(request: web.Request) -> web.Response:
    """The files of a software module: a list, not a page."""
    kept = repository(request)
    module = kept.one(kept.modules, number(request, "module"))
    return web.json_response([describe_artifact(request, module, one) for one in module.artifacts.values()])


@routes.get(ROOT + "/softwaremodules/{module}/metadata")
async def module_metadata(request: web.Request) -> web.Response:
    """Metadata of a software module: all on one page, whatever it asks for."""
    kept = repository(request)
    module = kept.one(kept.modules, number(request, "module"))
    found = [{"key": key, "value": one, "targetVisible": seen} for key, (one, seen) in module.metadata.items()]
    return web.json_response({"content": found, "total": len(found), "size": len(found)})


@routes.post(ROOT + "/softwaremodules/{module}/metadata")
async def add_metadata(request: web.Request) -> web.Response:
    """Metadata of a software module."""
    kept = repository(request)
    module = kept.one(kept.modules, number(request, "module"))
    for one in await body(request):
        module.metadata[one["key"]] = (one["value"], bool(one.get("targetVisible")))
    return web.Response(status=201)


@routes.post(ROOT + "/distributionsets")
async def create_sets(request: web.Request) -> web.Response:
    """Create distribution sets."""
    kept = repository(request)
    made = [
        kept.add_set(
            one["name"],
            one["version"],
            [int(module["id"]) for module in one.get("modules") or []],
            one.get("type", ""),
        )
        for one in await body(request)
    ]
    return web.json_response([describe_set(request, one) for one in made], status=201)


@routes.get(ROOT + "/distributionsets")
async def list_sets(request: web.Request) -> web.Response:
    """All distribution sets, or those of ``q``."""
    query, known = request.query.get("q", ""), repository(request).sets.values()
    fit = [one for one in known if matches(query, name=one.name, version=one.version)]
    return paged(request, [describe_set(request, one) for one in fit])


@routes.get(ROOT + "/distributionsets/{set}")
async def getdescribe_set(request: web.Request) -> web.Response:
    """One distribution set."""
    kept = repository(request)
    return web.json_response(describe_set(request, kept.one(kept.sets, number(request, "set"))))


@routes.get(ROOT + "/distributionsets/{set}/metadata")
async def get_set_metadata(request: web.Request) -> web.Response:
    """Metadata of a distribution set: all on one page, whatever it asks for."""
    kept = repository(request)
    known = kept.one(kept.sets, number(request, "set")).metadata
    found = [{"key": key, "value": value} for key, value in known.items()]
    return web.json_response({"content": found, "total": len(found), "size": len(found)})


@routes.post(ROOT + "/distributionsets/{set}/metadata")
async def set_metadata(request: web.Request) -> web.Response:
    """Metadata of a distribution set."""
    kept = repository(request)
    kept.one(kept.sets, number(request, "set")).metadata.update(
        {one["key"]: one["value"] for one in await body(request)}
    )
    return web.Response(status=201)


@routes.post(ROOT + "/distributionsets/{set}/assignedTargets")
async def assign(request: web.Request) -> web.Response:
    """Assign to targets."""
    kept, wanted = repository(request), await body(request)
    made = kept.one(kept.sets, number(request, "set"))
    done = []
    for one in wanted if isinstance(wanted, list) else [wanted]:
        kind, window = one.get("type", "forced"), one.get("maintenanceWindow")
        if kind not in KINDS:
            raise RefusedError(400, f"not a type: {kind}")
        done.append(
            kept.assign(
                str(one["id"]),
                made,
                kind,
                window=None if window is None else Window(window["schedule"], window["duration"], window["timezone"]),
                force_at_ms=int(one.get("forcetime") or 0),
                confirm=one.get("confirmationRequired") is not False,
            )
        )
    ids = [{"id": action.number} for action in done if action is not None]
    found = {"assigned": len(ids), "alreadyAssigned": len(done) - len(ids), "total": len(done), "assignedActions": ids}
    return web.json_response(found)
