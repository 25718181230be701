"""What is to be done at the server, decided from what is there. Pure: nothing is asked or sent here.

A name and a version stand for one content for ever: what is there already is compared and taken, or smpdfu refuses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smpdfu.agent.management.answers import Artifact, DistributionSet, Group, Module, Rollout
from smpdfu.agent.management.contents import MADE_BY, PackageToPublish
from smpdfu.agent.management.wish import MAX_NAME, MAX_TYPE, MAX_VERSION, RolloutWish, checked_name
from smpdfu.errors import PublishError, ServerProtocolError

MODULE_TYPE = "application"
"""Of hawkBit's two types of a new tenant, the one of which a distribution set may have several: one per hardware."""
SET_TYPE = "app"
_MAX_PACKAGES = 50


@dataclass(frozen=True, slots=True)
class WantedModule:
    """A software module with one artifact: a package."""

    name: str
    version: str
    type: str
    package: PackageToPublish

    @property
    def words(self) -> str:
        """How an error names it."""
        return f"the software module {self.name} {self.version}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A distribution set of software modules."""

    name: str
    version: str
    type: str
    modules: tuple[WantedModule, ...]

    @property
    def words(self) -> str:
        """How an error names it."""
        return f"the distribution set {self.name} {self.version}"

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the server tells about the set: that of the package, or of several the hash and version of each."""
        if len(self.modules) == 1:
            return self.modules[0].package.metadata
        found = {}
        for module in self.modules:
            about = module.package.metadata
            found[f"hardware.{module.package.hardware}"] = f"{module.version} {module.package.sha256}"
        return found | {MADE_BY: about[MADE_BY]}


def wanted(
    packages: Sequence[PackageToPublish],
    *,
    name: str | None = None,
    version: str | None = None,
    module_type: str = MODULE_TYPE,
    set_type: str = SET_TYPE,
) -> Wanted:
    """Name the modules and the set. Raises ValueError for names that cannot be, and for packages that need a hardware.

    By default the set has the name and the version of the first package. Of several packages, each needs a hardware of
    its own, and the set needs a version if theirs differ.
    """
    if not 1 <= len(packages) <= _MAX_PACKAGES:
        raise ValueError(f"give 1 to {_MAX_PACKAGES} packages")
    kinds = [one.hardware for one in packages]
    if len(packages) > 1 and (not all(kinds) or len(set(kinds)) < len(kinds)):
        raise ValueError("several packages need a hardware each: HARDWARE=FILE, and no hardware twice")
    if version is None and len({one.version for one in packages}) > 1:
        raise ValueError("the packages have several versions: give the version of the distribution set")
    for text, what in ((module_type, "the type of the software module"), (set_type, "the type of the set")):
        checked_name(text, what, MAX_TYPE)
    base = packages[0].name if name is None else name
    whole = checked_name(packages[0].version if version is None else version, "the version", MAX_VERSION)
    modules = tuple(
        WantedModule(checked_name(_module_name(base, one), "the name", MAX_NAME), one.version, module_type, one)
        for one in packages
    )
    return Wanted(checked_name(base, "the name"), whole, set_type, modules)


def _module_name(base: str, package: PackageToPublish) -> str:
    return f"{base}-{package.hardware}" if package.hardware else base


@dataclass(frozen=True, slots=True)
class ModuleToDo:
    """What is left to do for a module: ``upload`` its artifact, add ``metadata``."""

    upload: bool
    metadata: Mapping[str, str]


def module_to_do(
    want: WantedModule, module: Module, artifacts: Sequence[Artifact], metadata: Mapping[str, str]
) -> ModuleToDo:
    """Compare a module that the server has. Raises PublishError if it has another content than ours."""
    package = want.package
    for one in artifacts:
        if not one.sha256:
            raise ServerProtocolError(f"the server does not say the SHA-256 of {one.file} in {want.words}")
        if (one.sha256, one.size) != (package.sha256, len(package.data)):
            raise PublishError(
                f"{want.words} is at the server with another content: {one.file}, SHA-256 {one.sha256}, "
                f"and yours is {package.sha256}"
            ).because("publish-content")
    if len(artifacts) > 1:
        raise PublishError(f"{want.words} has {len(artifacts)} artifacts at the server, and smpdfu puts one there")
    missing = _missing(want.words, package.metadata, metadata)
    if module.locked and not artifacts:
        raise PublishError(f"{want.words} is at the server, locked and without an artifact").because("publish-content")
    return ModuleToDo(not artifacts, {} if module.locked else missing)


def set_to_do(
    want: Wanted, modules: Sequence[Module], found: DistributionSet, metadata: Mapping[str, str]
) -> Mapping[str, str]:
    """Compare a set that the server has; return the metadata that it lacks. Raises PublishError if it differs."""
    if found.type != want.type:
        raise PublishError(f"{want.words} is at the server with the type {found.type}, not {want.type}").because(
            "publish-content"
        )
    if found.modules != {one.id for one in modules}:
        raise PublishError(f"{want.words} is at the server with other software modules").because("publish-content")
    if not found.valid:
        raise PublishError(f"{want.words} is at the server, and somebody invalidated it there").because(
            "publish-content"
        )
    return _missing(want.words, want.metadata, metadata)


def _missing(words: str, want: Mapping[str, str], found: Mapping[str, str]) -> Mapping[str, str]:
    """The metadata that is not there yet. Which smpdfu published it first does not matter."""
    for key, value in want.items():
        if key != MADE_BY and found.get(key, value) != value:
            raise PublishError(
                f"{words} is at the server with another content: its metadata has {found[key][:100]!r} as {key}, "
                f"and yours is {value!r}"
            ).because("publish-content")
    return {key: value for key, value in want.items() if key not in found}


def check_rollout(wish: RolloutWish, number: int | None, found: Rollout, groups: Sequence[Group]) -> None:
    """Compare a rollout that the server has. Raises PublishError, which names what differs.

    ``number`` is the id of the distribution set; None if that is not there yet.
    """
    pairs = [
        ("its distribution set", found.set, number),
        ("its targets", found.targets, wish.targets),
        ("the type of its actions", found.type, wish.action.value),
        ("its number of groups", found.groups if found.groups is not None else wish.groups, wish.groups),
    ]
    for group in groups[:1]:
        pairs += [
            ("its success threshold", group.success, str(wish.success_percent)),
            ("its error threshold", group.error, str(wish.error_percent)),
        ]
    for what, there, ours in pairs:
        if there != ours:
            raise PublishError(
                f"the rollout {wish.name} is at the server, and {what} is another: {there}, not {ours}"
            ).because("publish-rollout")
