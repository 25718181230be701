"""Puts packages into hawkBit: looks at all that is there, decides, and then does what is left. Run again, it goes on.

Two calls at a time do no harm: where another was faster, the server refuses (409), and what is there now is compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from smpdfu.agent.ddi.fields import Fields
from smpdfu.agent.management import requests
from smpdfu.agent.management.answers import (
    Artifact,
    DistributionSet,
    Group,
    Module,
    Page,
    Rollout,
    as_page,
    metadata_of,
)
from smpdfu.agent.management.plan import ModuleToDo, Wanted, WantedModule, check_rollout, module_to_do, set_to_do
from smpdfu.agent.management.publication import (
    Publication,
    PublishedModule,
    PublishedRollout,
    PublishedSet,
    PublishWatch,
)
from smpdfu.agent.management.requests import Request
from smpdfu.agent.management.wish import RolloutWish
from smpdfu.errors import ServerProtocolError, ServerRefusedError

T = TypeVar("T")
_MAX_ENTRIES = 5000
_CONFLICT = 409
_BAD_REQUEST = 400


class Server(Protocol):
    """How requests travel; ``server.ManagementServer`` is it. Errors are ``ServerError``s."""

    async def ask(self, request: Request) -> bytes:
        """Send a request, and return the body of the answer."""

    async def send_file(self, request: Request, file: str, data: bytes, sent: Callable[[int], None]) -> bytes:
        """Send a file as the form of a request; ``sent`` is told how many bytes of it are out."""


async def read_list(server: Server, request: Request, read: Callable[[Fields], T]) -> list[T]:
    """Read all pages of a list. Raises ServerProtocolError if it has more than ``_MAX_ENTRIES``, or does not end."""
    found: list[T] = []
    while True:
        page = Page.from_fields(Fields.from_bytes(await server.ask(request.page(len(found)))))
        if page.total > _MAX_ENTRIES:
            raise ServerProtocolError(f"the server's list has {page.total} entries, and smpdfu reads {_MAX_ENTRIES}")
        found += [read(one) for one in page.entries]
        if len(found) >= page.total:
            return found
        if not page.entries:
            raise ServerProtocolError("the server's list ends before its last entry")


@dataclass(frozen=True, slots=True)
class _FoundModule:
    module: Module
    left: ModuleToDo


class Publisher:
    """Publishes one distribution set at one server."""

    def __init__(self, server: Server, want: Wanted, watch: PublishWatch) -> None:
        self._server = server
        self._want = want
        self._watch = watch

    async def publish(self, wish: RolloutWish | None) -> Publication:
        """Publish the set and create the rollout. Raises PublishError before anything is written, ServerError."""
        found = [await self._find_module(one) for one in self._want.modules]
        known = [one.module for one in found if one is not None]
        there = await self._find_set()
        left = None if there is None else await self._set_left(there, known)
        rollout = None if wish is None else await self._find_rollout(wish, None if there is None else there.id)
        modules = [await self._module(want, one) for want, one in zip(self._want.modules, found, strict=True)]
        made = await self._set([module for module, _ in modules], there, left)
        if wish is not None:
            rollout = await self._rollout(wish, made, rollout)
        return Publication(tuple(published for _, published in modules), made, rollout)

    async def _find_module(self, want: WantedModule) -> _FoundModule | None:
        request = requests.find_modules(want.name, want.version)
        for one in await read_list(self._server, request, Module.from_fields):
            if (one.name, one.version, one.type) == (want.name, want.version, want.type):
                artifacts = await self._artifacts(one)
                metadata = await self._metadata(requests.module_metadata(one.id))
                return _FoundModule(one, module_to_do(want, one, artifacts, metadata))
        return None

    async def _artifacts(self, module: Module) -> Sequence[Artifact]:
        page = as_page(await self._server.ask(requests.artifacts_of(module.id)))
        return [Artifact.from_fields(one) for one in page.parts("content", _MAX_ENTRIES)]

    async def _metadata(self, request: Request) -> Mapping[str, str]:
        return metadata_of(Fields.from_bytes(await self._server.ask(request)))

    async def _find_set(self) -> DistributionSet | None:
        want = self._want
        request = requests.find_sets(want.name, want.version)
        found = await read_list(self._server, request, DistributionSet.from_fields)
        return next((one for one in found if (one.name, one.version) == (want.name, want.version)), None)

    async def _set_left(self, there: DistributionSet, modules: Sequence[Module]) -> Mapping[str, str]:
        return set_to_do(self._want, modules, there, await self._metadata(requests.set_metadata(there.id)))

    async def _find_rollout(self, wish: RolloutWish, number: int | None) -> PublishedRollout | None:
        found = await read_list(self._server, requests.find_rollouts(wish.name), Rollout.from_fields)
        one = next((one for one in found if one.name == wish.name and not one.deleted), None)
        if one is None:
            return None
        groups = await read_list(self._server, requests.groups_of(one.id), Group.from_fields)
        check_rollout(wish, number, one, groups)
        return PublishedRollout(one.id, one.name, one.status, one.total, existed=True)

    async def _module(self, want: WantedModule, found: _FoundModule | None) -> tuple[Module, PublishedModule]:
        if found is None:
            found = await self._create_module(want)
        existed = not found.left.upload
        if found.left.upload:
            await self._upload(want, found.module)
        if found.left.metadata:
            await self._server.ask(requests.add_module_metadata(found.module.id, found.left.metadata))
        package = want.package
        told = (found.module.id, want.name, want.version, package.hardware, package.file, package.sha256, existed)
        return found.module, PublishedModule(*told)

    async def _create_module(self, want: WantedModule) -> _FoundModule:
        request = requests.create_module(want.name, want.version, want.type, want.package.words[:_MAX_DESCRIPTION])
        made = await self._create(request, Module.from_fields)
        if made is not None:
            return _FoundModule(made, ModuleToDo(upload=True, metadata=want.package.metadata))
        found = await self._find_module(want)
        if found is None:
            raise _hidden(want.words)
        return found

    async def _create(self, request: Request, read: Callable[[Fields], T]) -> T | None:
        """Create one thing; None if the server has it already."""
        try:
            page = as_page(await self._server.ask(request))
        except ServerRefusedError as error:
            if error.status != _CONFLICT:
                raise
            return None
        entries = page.parts("content", 1)
        if not entries:
            raise page.wrong("content", "is empty")
        return read(entries[0])

    async def _upload(self, want: WantedModule, module: Module) -> None:
        package = want.package
        total = len(package.data)
        request = requests.upload_to(module.id, package.file, package.sha256)
        try:
            answer = await self._server.send_file(
                request, package.file, package.data, lambda done: self._watch.progress(package.file, done, total)
            )
        except ServerRefusedError as error:
            if error.status != _CONFLICT:
                raise
        else:
            said = Artifact.from_fields(Fields.from_bytes(answer))
            if (said.sha256, said.size) != (package.sha256, total):
                raise ServerProtocolError(f"the server stored another content of {package.file}: {said.sha256}")
        artifacts = await self._artifacts(module)  # with another file name, another call has added its own
        if module_to_do(want, module, artifacts, {}).upload:
            raise ServerProtocolError(f"the server took {package.file}, and does not list it")

    async def _set(
        self, modules: Sequence[Module], there: DistributionSet | None, left: Mapping[str, str] | None
    ) -> PublishedSet:
        existed = there is not None
        want = self._want
        if there is None:
            about = ", ".join(f"{one.package.file}: {one.package.words}" for one in want.modules)[:_MAX_DESCRIPTION]
            ids = [one.id for one in modules]
            request = requests.create_set(want.name, want.version, want.type, about, ids)
            there = await self._create(request, DistributionSet.from_fields)
            left = want.metadata
        if there is None:
            existed = True
            there = await self._find_set()
            if there is None:
                raise _hidden(want.words)
            left = await self._set_left(there, modules)
        if left:
            await self._server.ask(requests.add_set_metadata(there.id, left))
        return PublishedSet(there.id, there.name, there.version, existed)

    async def _rollout(self, wish: RolloutWish, made: PublishedSet, found: PublishedRollout | None) -> PublishedRollout:
        if found is not None:
            return found
        try:
            answer = Fields.from_bytes(await self._server.ask(requests.create_rollout(wish, made.id)))
        except ServerRefusedError as error:
            found = await self._find_rollout(wish, made.id) if error.status == _CONFLICT else None
            if found is None:
                raise error.because("publish-targets") if error.status == _BAD_REQUEST else error from None
            return found
        rollout = Rollout.from_fields(answer)
        return PublishedRollout(rollout.id, rollout.name, rollout.status, rollout.total, existed=False)


_MAX_DESCRIPTION = 512


def _hidden(words: str) -> ServerRefusedError:
    text = f"the server refuses {words}: it has one already, and does not show it, as after a deletion"
    return ServerRefusedError(text, _CONFLICT)
