"""Open an agent by its file: keys, secrets, the server, the folders, all at their places."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from smpdfu.agent.actions.events import Watch, ignore
from smpdfu.agent.actions.record_files import RecordFiles, folder_of
from smpdfu.agent.artifacts.cache import ArtifactCache
from smpdfu.agent.description.authentication import Credentials
from smpdfu.agent.description.file import AgentFile
from smpdfu.agent.server.client import DdiClient, TlsFiles
from smpdfu.agent.work.gateway import Gateway
from smpdfu.agent.work.limits import Limits
from smpdfu.agent.work.packages import Packages
from smpdfu.agent.work.ports import AttributesOf, FindDevices, Pace, Ports
from smpdfu.connect import client_for, place_of
from smpdfu.dfu.fleet.key_files import no_passphrase, nsib_keys, trusted_key
from smpdfu.image.nsib.trusted_keys import NO_NSIB_KEYS
from smpdfu.local.state.limits import allow_open_files

_FILES_EACH = 8  # of one device that is updated: a link, a journal, locks, the pipes of a health command
_FILES_OF_OURS = 100


def load_agent_file(path: Path | str) -> AgentFile:
    """Read the file of an agent. Raises AgentFileError or OSError."""
    return AgentFile.load(Path(path), place_of)


def packages_of(file: AgentFile) -> Packages:
    """Read the keys that the file names. Raises SigningError or OSError for one that is not usable."""
    trust = tuple(trusted_key(path, no_passphrase) for path in file.trust)
    return Packages(trust, nsib_keys(NO_NSIB_KEYS, file.net_keys, file.b0_keys, no_passphrase))


@asynccontextmanager
async def open_gateway(
    file: AgentFile,
    credentials: Credentials | None = None,
    watch: Watch = ignore,
    *,
    attributes_of: AttributesOf | None = None,
    find: FindDevices | None = None,
    pace: Pace | None = None,
) -> AsyncIterator[Gateway]:
    """Yield the agent of ``file``, ready for ``run`` or ``once``.

    ``credentials`` are those of the file by default. ``attributes_of`` gives the attributes of a target by a person's
    access to the management API: with it, the agent sees that another gateway claimed a device. ``find`` searches for
    further devices.

    It has the records of its devices alone. Raises AgentFileError, SigningError or OSError for a file that is not
    usable, JournalError if another agent works for this gateway, and ArtifactError if one uses the folder of artifacts.
    """
    secrets = credentials or file.authentication.credentials(file.devices)
    packages = packages_of(file)
    tls = TlsFiles(file.server.ca, secrets.certificate, secrets.key)
    allow_open_files(file.limits.at_once * _FILES_EACH + _FILES_OF_OURS)
    async with AsyncExitStack() as stack:
        files = RecordFiles(folder_of(file.state, file.server.address.url, file.server.address.tenant))
        stack.enter_context(files.locked())
        server = await stack.enter_async_context(DdiClient(file.server.address, secrets.token, tls=tls))
        folder = file.artifacts
        cache = stack.enter_context(ArtifactCache(folder.path, folder.max_bytes, allow_sha1=folder.allow_sha1))
        yield Gateway(
            file,
            Ports(
                server,
                cache,
                files,
                client_for,
                Limits(file.limits),
                packages,
                watch,
                attributes_of,
                find,
                pace or Pace(),
            ),
        )
