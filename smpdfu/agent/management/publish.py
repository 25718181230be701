"""Publishing in one call, for programs; ``smpdfu publish`` does the same with words."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from smpdfu.agent.ddi.fields import Fields
from smpdfu.agent.management import requests
from smpdfu.agent.management.access import ManagementAccess
from smpdfu.agent.management.answers import UserInfo
from smpdfu.agent.management.checks import PublishTrust, check_package
from smpdfu.agent.management.contents import PackageToPublish, StrPath
from smpdfu.agent.management.follower import EVERY_S, Follower, Sleep
from smpdfu.agent.management.plan import MODULE_TYPE, SET_TYPE, wanted
from smpdfu.agent.management.publication import Publication, PublishWatch, RolloutOutcome
from smpdfu.agent.management.publisher import Publisher
from smpdfu.agent.management.server import ManagementServer
from smpdfu.agent.management.wish import RolloutWish
from smpdfu.errors import PublishError

_SILENT = PublishWatch()
_ANY = PublishTrust()


async def publish(
    packages: Sequence[PackageToPublish | StrPath],
    access: ManagementAccess,
    *,
    trust: PublishTrust = _ANY,
    name: str | None = None,
    version: str | None = None,
    module_type: str = MODULE_TYPE,
    set_type: str = SET_TYPE,
    rollout: RolloutWish | None = None,
    watch: PublishWatch = _SILENT,
    sleep: Sleep = asyncio.sleep,
) -> Publication:
    """Put packages into hawkBit as one distribution set, and create a rollout of it.

    Call it again after any interruption: what is there with the same content is taken. ``name`` and ``version`` are
    those of the distribution set, by default of the first package. With ``rollout.start``, the rollout is started when
    the server has made it; ``sleep`` waits for that.

    Raises ValueError for names and packages that do not fit, PackageError, ImageError for an image that a bootloader
    would refuse, SigningError for keys that everybody has, PublishError if the server has another content under the
    same name and version (nothing was written then), RolloutUnfinishedError if the rollout cannot start yet,
    RolloutFailedError if it was started before and ended without success, or ServerError.
    """
    loaded = [one if isinstance(one, PackageToPublish) else PackageToPublish.load(one) for one in packages]
    want = wanted(loaded, name=name, version=version, module_type=module_type, set_type=set_type)
    warnings = [text for one in loaded for text in check_package(one, trust)]
    for text in warnings:
        watch.warning(text)
    async with ManagementServer(access) as server:
        if access.tenant is not None:
            await _check_tenant(server, access.tenant)
        done = replace(await Publisher(server, want, watch).publish(rollout), warnings=tuple(warnings))
        if rollout is None or done.rollout is None or not rollout.start:
            return done
        before = done.rollout.status
        now = await Follower(server, done.rollout.id, watch, sleep, EVERY_S).start()
        started = before in ("creating", "ready") and now.rollout.status != before
        status, total = now.rollout.status, now.rollout.total
        return replace(done, rollout=replace(done.rollout, status=status, targets=total, started=started))


async def watch_rollout(
    rollout: int,
    access: ManagementAccess,
    *,
    start: bool = False,
    watch: PublishWatch = _SILENT,
    every_s: float = EVERY_S,
    sleep: Sleep = asyncio.sleep,
) -> RolloutOutcome:
    """Follow the rollout with this id until it ends; with ``start``, start it when it is ready.

    ``every_s`` is the time between two looks, and ``sleep`` waits. To stop following changes nothing at the server.
    ``RolloutOutcome.error()`` is the error that the end is, if any. Raises ServerError.
    """
    async with ManagementServer(access) as server:
        return await Follower(server, rollout, watch, sleep, every_s).follow(start=start)


async def _check_tenant(server: ManagementServer, tenant: str) -> None:
    info = UserInfo.from_fields(Fields.from_bytes(await server.ask(requests.user_info())))
    if info.tenant.casefold() != tenant.casefold():  # hawkBit writes tenants in capitals
        raise PublishError(f"the login belongs to the tenant {info.tenant}, not to {tenant}").because("publish-tenant")
