"""Which devices run an image: the whole search, from the question to the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from smpdfu.dfu.fleet.affected.answer import Affected, AffectedStatus, Judge
from smpdfu.dfu.fleet.affected.components import ComponentQuery
from smpdfu.dfu.fleet.affected.histories import Histories, fleet_folders
from smpdfu.dfu.fleet.affected.question import Catalog, Question, by_component, by_hashes, by_sboms
from smpdfu.dfu.fleet.affected.sbom import SbomIndex, similar
from smpdfu.errors import EvidenceError

MAX_SBOMS = 1000
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class AffectedQuery:
    """What is asked for: images by their ``hashes``, or by ``sboms`` (files, or folders of files) and a ``component``.

    ``fleets`` are the files of the fleets to search; without any, all fleets and devices that this computer has
    updated.
    """

    hashes: tuple[str, ...] = ()
    sboms: tuple[Path, ...] = ()
    component: str | None = None
    fleets: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.hashes) == bool(self.sboms):
            raise ValueError("give either hashes or SBOMs")
        if self.component is not None and not self.sboms:
            raise ValueError("a component is searched in SBOMs: give at least one")


def search(query: AffectedQuery, place: Callable[[str], str]) -> Affected:
    """Answer for every device; ``place`` gives the one spelling of an address.

    Raises ValueError for a hash or a component that cannot be read, or a hash that is the beginning of several,
    EvidenceError for an SBOM that cannot be read or has no such component, FleetFileError or OSError.
    """
    component = None if query.component is None else ComponentQuery.from_text(query.component)
    problems: list[str] = []
    sboms = [sbom for path in query.sboms for sbom in _sboms(path, problems)]
    histories = Histories()
    if query.fleets:
        from smpdfu.dfu.fleet.affected.described import add_described  # here: 0.1 s that few searches need

        add_described(histories, query.fleets, place)
    for folder in () if query.fleets else fleet_folders():
        histories.add_fleet(folder)
    histories.add_journals(all_of_them=not query.fleets)
    catalog = histories.catalog
    judge = Judge(_question(query, sboms, component, catalog), catalog)
    answers = [answer for device in histories.devices() for answer in judge.answers(device)]
    order = tuple(AffectedStatus)
    answers.sort(key=lambda one: order.index(one.status))
    unknown = map(_not_noted, judge.question.not_noted(catalog))
    if component is not None and (near := similar(sboms, component)):
        problems.append(f"components with similar names were not counted: {', '.join(near[:_SHOWN])}")
    return Affected(tuple(answers), judge.question, (*problems, *unknown, *histories.problems))


def _not_noted(digits: str) -> str:
    return (
        f"no update has noted an image or a package with the hash {digits}: check it. smpdfu does not know a package "
        "by the SHA-256 of its zip file"
    )


def _question(
    query: AffectedQuery, sboms: Sequence[SbomIndex], component: ComponentQuery | None, catalog: Catalog
) -> Question:
    if query.hashes:
        return by_hashes(query.hashes, catalog)
    return by_sboms(sboms) if component is None else by_component(sboms, component)


def _sboms(path: Path, problems: list[str]) -> list[SbomIndex]:
    """The SBOM in a file, or those in a folder; ``problems`` names each file of a folder that is none."""
    if not path.is_dir():
        return [SbomIndex.load(path)]
    files = sorted(one for one in path.iterdir() if one.name.lower().endswith(".json"))
    if len(files) > MAX_SBOMS:
        raise EvidenceError(f"{path} has {len(files)} JSON files; smpdfu reads at most {MAX_SBOMS} at a time")
    found = []
    for file in files:
        try:
            found.append(SbomIndex.load(file))
        except EvidenceError as error:
            problems.append(str(error))
    if not found:
        raise EvidenceError(f"{path} has no SBOM (CycloneDX, JSON)").because("sbom")
    return found
