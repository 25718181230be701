"""What preflight finds where the bootloader's release decides: package and device in, findings out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from smpdfu.cli.app.advice_by_code import finding_advice
from smpdfu.dfu.decide.checks.findings import Finding, Severity
from smpdfu.dfu.decide.checks.preflight import image_findings, preflight
from smpdfu.dfu.decide.device_state import DeviceState, Past, Scheme
from smpdfu.dfu.decide.evidence import NO_EVIDENCE, Clue, Evidence, Source, given_clue
from smpdfu.dfu.package.images import Core, PackageImage, Role
from smpdfu.dfu.package.package import Package
from smpdfu.image.format import Dependency, Tlv, TlvType, Version
from smpdfu.loaders.releases import Partitions
from smpdfu.loaders.rules import NORDIC, Loader
from smpdfu.smp.groups.image import ImageSlot
from smpdfu.smp.groups.os import BootloaderMode
from tests.dfu.conftest import BOTH, CODE, IDLE
from tests.resigned import with_protected

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
PM, DTS = Partitions.PM, Partitions.DTS
NET_FLASH = range(0x0100_8800, 0x0104_0000)
SMALL_B0N = range(0x0100_2800, 0x0104_0000)
OVERWRITES = BootloaderMode.OVERWRITE_ONLY

LOADERS = sorted(NORDIC, key=lambda one: one.name)

Packed = Callable[["Maker"], Package]
Codes = list[tuple[str, Severity]]


@dataclass(frozen=True)
class Row:
    """``found`` are the findings of this table's codes, worst first; what every device says is left out."""

    name: str
    package: Packed
    device: DeviceState
    found: Codes

    def case(self, make: Maker) -> tuple[Package, DeviceState]:
        return self.package(make), self.device


def app(**how: object) -> Packed:
    return lambda make: make.package(make.image(Role.APP, **how))  # type: ignore[arg-type]  # version or an option


def net(**how: object) -> Packed:
    """A network image; ``at``: linked, sealed and listed for that address."""
    address = how.get("address", CODE[Core.NET])

    def packed(make: Maker) -> Package:
        data = make.data(Core.NET, **how)  # type: ignore[arg-type]  # version or an option
        return Package((PackageImage.from_bytes(data, "net.bin", {"load_address": address}),))

    return packed


def pair(app_how: Mapping[str, object], net_how: Mapping[str, object]) -> Packed:
    return lambda make: make.package(make.image(Role.APP, **app_how), make.image(Role.NET, **net_how))  # type: ignore[arg-type]


TIED_NET = net(needs=(0, Version(1)))
TIED_PAIR = pair({}, {"needs": (0, Version(2))})


def ncs(release: str | None, partitions: Partitions | None = None) -> Evidence:
    return Evidence(given_clue(release, partitions))


def device(evidence: Evidence = NO_EVIDENCE, **fields: object) -> DeviceState:
    return replace(IDLE, evidence=evidence, **fields)  # type: ignore[arg-type]  # any field of the class


def two_pairs(evidence: Evidence = NO_EVIDENCE, **fields: object) -> DeviceState:
    return replace(BOTH, evidence=evidence, **fields)  # type: ignore[arg-type]  # any field of the class


RUNS = ImageSlot(slot=0, version="1.0.0", hash=b"\x11" * 32, bootable=True, confirmed=True, active=True)
TIED = Past(app=b"\x11" * 32, needs=(Dependency(1, Version(2)),))
UNTIED = Past(app=b"\x11" * 32, needs=())
OTHER_APP = Past(app=b"\x22" * 32, needs=(Dependency(1, Version(2)),))
NEEDS_NET, NEEDS_APP = {"needs": (1, Version(3))}, {"needs": (0, Version(3))}
CLASS = bytes(16)
NO_ADDRESS: dict[str, object] = {"fixed": 0}
CONSOLE_29 = Evidence((Clue(Source.CONSOLE, "nRF Connect SDK v2.9.0", ncs("2.9").loaders),))
UNPROVEN, MAY_ERASE = ("net-unproven", NOTE), ("net-erased", WARNING)
MAY_HALT = ("dependency-halts", NOTE)

ROWS = [
    # Nothing: the releases that take it and prove it.
    Row("2.5 takes and proves it", net(), device(ncs("2.5")), []),
    Row("2.9 takes and proves it", net(), device(ncs("2.9")), []),
    Row("no load address, and none is looked at", pair(NO_ADDRESS, NO_ADDRESS), device(ncs("3.2")), []),
    Row("an application alone", app(), device(), []),
    # 2 dependency-halts
    Row("tied by the journal", net(version="1.5.0"), two_pairs(past=TIED), [("dependency-halts", ERROR), UNPROVEN]),
    Row("tied, and high enough", net(version="2.0.0"), two_pairs(past=TIED), [UNPROVEN]),
    Row("not tied by the journal", net(version="0.0.0"), two_pairs(past=UNTIED), [UNPROVEN]),
    Row(
        "the journal is about another application",
        net(version="1.5.0"),
        two_pairs(past=OTHER_APP),
        [MAY_HALT, UNPROVEN],
    ),
    Row("0.0.0 and nothing known", net(version="0.0.0"), two_pairs(), [("dependency-halts", WARNING), UNPROVEN]),
    Row("1.0.0 and nothing known", net(version="1.0.0"), two_pairs(), [MAY_HALT, UNPROVEN]),
    Row("upstream installs nothing", net(version="1.5.0"), two_pairs(ncs("upstream"), past=TIED), [UNPROVEN]),
    Row("staged does not check", net(version="0.0.0"), device(ncs("2.9"), past=TIED), []),
    # 3 dependency
    Row("the application waits", pair(NEEDS_NET, {}), two_pairs(), [("dependency", ERROR), UNPROVEN]),
    Row("the network image waits", pair({}, NEEDS_APP), two_pairs(), [("dependency", ERROR), UNPROVEN]),
    Row("of upstream's both", pair({}, NEEDS_APP), two_pairs(ncs("upstream")), [("dependency", ERROR), UNPROVEN]),
    Row("no such image", pair({"needs": (5, Version(1))}, {}), two_pairs(), [("dependency", WARNING), UNPROVEN]),
    Row(
        "no such image, upstream",
        pair({"needs": (5, Version(1))}, {}),
        two_pairs(ncs("upstream")),
        [("dependency", ERROR), UNPROVEN],
    ),
    Row("a made-up header is 0.0.0", app(needs=(1, Version(0, 0, 1))), two_pairs(), [("dependency", ERROR)]),
    Row("which is enough for 0.0.0", app(needs=(1, Version(0))), two_pairs(), []),
    # 4 net-offset
    Row("by offset", net(), device(mode=BootloaderMode.SWAP_USING_OFFSET), [("net-offset", ERROR)]),
    Row(
        "by offset, 3.4.1",
        net(),
        device(ncs("3.4.1", DTS), mode=BootloaderMode.SWAP_USING_OFFSET),
        [("net-offset", ERROR)],
    ),
    Row("the application by offset", app(), device(mode=BootloaderMode.SWAP_USING_OFFSET), []),
    Row("mode not told", net(), device(ncs("3.0"), mode=None), [UNPROVEN]),
    # 5 address, net-erased
    Row("erased by 3.4.0", net(), device(ncs("3.4.0", DTS)), [("net-erased", ERROR)]),
    Row("erased, if devicetree", net(), device(ncs("3.4.0")), [MAY_ERASE]),
    Row("3.4.0 and 3.4.1", net(), device(ncs("3.4", DTS)), [MAY_ERASE, UNPROVEN]),
    Row("no evidence", net(), device(), [MAY_ERASE, UNPROVEN]),
    Row("no address, app", app(fixed=0), device(ncs("3.4.0", DTS)), [("address", ERROR)]),
    Row("no address, net", net(fixed=0), device(ncs("3.4.1", DTS)), [("address", ERROR), UNPROVEN]),
    Row("no address, both", pair(NO_ADDRESS, NO_ADDRESS), device(ncs("latest", DTS)), [("address", ERROR), UNPROVEN]),
    Row("no address, perhaps", app(fixed=0), device(), [("address", WARNING)]),
    Row(
        "no address, both perhaps", pair(NO_ADDRESS, NO_ADDRESS), device(), [MAY_ERASE, ("address", WARNING), UNPROVEN]
    ),
    Row("3.4.0 erases it in any case", net(fixed=0), device(ncs("3.4.0", DTS)), [("net-erased", ERROR)]),
    Row("no other takes it", net(fixed=0), device(ncs("3.4", DTS)), [("address", ERROR), MAY_ERASE, UNPROVEN]),
    Row("another slot's address", app(fixed=0x8_6000), device(ncs("3.4.1", DTS)), [("address", ERROR)]),
    Row("the application's address", net(fixed=0xC000), device(ncs("3.4.1", DTS)), [("address", ERROR), UNPROVEN]),
    Row("the slot's end counts", app(fixed=0x8_5000), device(ncs("3.4.1", DTS)), []),
    Row("no slot sizes", app(fixed=0x9_0000), device(ncs("3.4.1", DTS), sizes=(), given=Scheme.STAGED), []),
    Row("two pairs do not check", pair(NO_ADDRESS, NO_ADDRESS), two_pairs(ncs("3.4.1", DTS)), [UNPROVEN]),
    Row("encrypted, no address", app(encrypted=True, fixed=0), device(ncs("3.4.1", DTS)), [("address", ERROR)]),
    # 6 net-elsewhere
    Row("a small b0n's image", net(address=0x0100_2800), device(ncs("2.9")), [("net-elsewhere", WARNING), UNPROVEN]),
    Row("on such a device", net(address=0x0100_2800), device(ncs("2.9"), net=SMALL_B0N, net_is_given=True), []),
    Row("on such a device by its journal", net(address=0x0100_2800), device(ncs("2.9"), net=SMALL_B0N), [UNPROVEN]),
    Row(
        "on another", net(address=0x0100_2800), device(ncs("2.9"), net=NET_FLASH), [("net-elsewhere", ERROR), UNPROVEN]
    ),
    Row("the usual one on a small b0n", net(), device(ncs("2.9"), net=SMALL_B0N), [("net-elsewhere", ERROR)]),
    Row("two pairs", net(version="1.0.0"), two_pairs(net=SMALL_B0N, past=UNTIED), [("net-elsewhere", ERROR), UNPROVEN]),
    Row(
        "no seal, outside",
        net(address=0x0100_2800, sealed=False),
        device(ncs("2.9"), net=NET_FLASH),
        [("net-elsewhere", ERROR), UNPROVEN],
    ),
    # 7 net-downgrade
    Row(
        "below its application",
        net(version="0.0.0"),
        device(ncs("2.9"), mode=OVERWRITES, no_downgrade=True),
        [("net-downgrade", ERROR), UNPROVEN],
    ),
    Row("not below", net(version="1.0.0+0"), device(ncs("2.9"), mode=OVERWRITES, no_downgrade=True), [UNPROVEN]),
    Row(
        "below the one that comes",
        pair({"version": "2.0.0"}, {"version": "1.5.0"}),
        device(ncs("2.9"), mode=OVERWRITES, no_downgrade=True),
        [("net-downgrade", ERROR), UNPROVEN],
    ),
    Row("swaps do not compare", net(version="0.0.0"), device(ncs("2.9"), no_downgrade=True), []),
    Row("not prevented", net(version="0.0.0"), device(ncs("2.9"), mode=OVERWRITES), [UNPROVEN]),
    # net-count: what a bootloader that compares b0n's versions cannot read
    Row("tied", TIED_NET, two_pairs(no_downgrade=True, past=UNTIED), [("net-count", WARNING), UNPROVEN]),
    Row("tied, downgrades allowed", TIED_NET, two_pairs(past=UNTIED), [UNPROVEN]),
    Row("tied, both come", TIED_PAIR, two_pairs(ncs("2.9"), no_downgrade=True), [("net-count", WARNING), UNPROVEN]),
    Row(
        "a security counter",
        net(counter=3),
        two_pairs(no_downgrade=True, past=UNTIED),
        [("net-count", WARNING), UNPROVEN],
    ),
    Row("nothing protected", net(), two_pairs(no_downgrade=True, past=UNTIED), [UNPROVEN]),
    Row(
        "encrypted, compared",
        net(encrypted=True),
        two_pairs(no_downgrade=True, past=UNTIED),
        [("net-count", WARNING), UNPROVEN],
    ),
    Row(
        "no seal to read",
        net(sealed=False),
        two_pairs(no_downgrade=True, past=UNTIED),
        [("net-count", WARNING), UNPROVEN],
    ),
    Row("tied, staged", TIED_NET, device(ncs("3.4.1"), no_downgrade=True), [("net-count", WARNING), UNPROVEN]),
    Row("tied, staged, before 3.4.1", TIED_NET, device(ncs("3.4.0", PM), no_downgrade=True), []),
    # 8 net-unproven
    Row("3.4.1 in swap mode", net(), device(ncs("3.4.1")), [UNPROVEN]),
    Row("2.9, overwriting", net(), device(ncs("2.9"), mode=OVERWRITES), [UNPROVEN]),
    Row("the console is read", net(), device(replace(CONSOLE_29), mode=OVERWRITES), []),
    Row(
        "the journal may be of another board",
        net(),
        device(Evidence((Clue(Source.JOURNAL, "NCS 2.9", ncs("2.9").loaders),))),
        [UNPROVEN],
    ),
    # 9 app-encrypted
    Row("encrypted, 2.5", app(encrypted=True), device(ncs("2.5")), [("app-encrypted", WARNING)]),
    Row("encrypted, perhaps 2.5", app(encrypted=True), device(), [("app-encrypted", WARNING)]),
    Row("encrypted, 2.8", app(encrypted=True), device(ncs("2.8")), []),
    Row("encrypted, two pairs", app(encrypted=True), two_pairs(ncs("2.5")), []),
    # The rest.
    Row("encrypted for the network core", net(encrypted=True), device(ncs("2.5")), [("net-encrypted", ERROR)]),
    Row("a class that 3.4.0 drops", app(cid=CLASS), device(ncs("3.4.0")), [("class", WARNING)]),
    Row("a class that 3.4.1 takes", app(cid=CLASS), device(ncs("3.4.1")), []),
    Row("no such builds before", app(cid=CLASS), device(ncs("3.3")), []),
    Row("one core is named", pair({"cid": CLASS}, {}), device(ncs("3.4.1", PM)), [("class", WARNING), UNPROVEN]),
    Row("upstream", net(), device(ncs("upstream")), [("net-upstream", ERROR)]),
    Row(
        "clues that contradict",
        app(),
        device(CONSOLE_29.with_clues(given_clue("3.4.0", None))),
        [("contradiction", WARNING)],
    ),
    Row("direct XIP has no such slot", app(fixed=0), device(ncs("3.4.1", DTS), mode=BootloaderMode.DIRECT_XIP), []),
    Row("serial recovery neither", net(), device(ncs("3.4.0", DTS), recovery=True), []),
]

JUDGED = {code for row in ROWS for code, _ in row.found}


def codes(found: tuple[Finding, ...]) -> Codes:
    return [(one.code, one.severity) for one in found if one.code in JUDGED]


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_findings_by_loader(make: Maker, row: Row) -> None:
    found = preflight(*row.case(make))
    assert codes(found) == row.found, [one.message for one in found]
    for one in found:
        assert one.source or one.code not in JUDGED
        assert "\n" not in one.message + one.advice


def test_every_code_is_found_and_not_found() -> None:
    assert {"net-offset", "net-erased", "net-elsewhere", "net-downgrade", "net-count", "net-unproven"} <= JUDGED
    assert {"app-encrypted", "address"} <= JUDGED
    assert {row.name for row in ROWS if not row.found}
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize(
    ("package", "state", "code", "words"),
    [
        (net(), device(ncs("3.4.0", DTS)), "net-erased", "the bootloader of NCS 3.4.0 (devicetree partitions) erases"),
        (app(fixed=0), device(), "address", "NCS 3.4.0 (devicetree partitions), NCS 3.4.1 and later (devicetree"),
        (
            app(encrypted=True),
            device(),
            "app-encrypted",
            "a bootloader of NCS 2.2 to 2.7 that updates the network core",
        ),
        (
            net(address=0x0100_2800),
            device(ncs("2.9"), net=NET_FLASH),
            "net-elsewhere",
            "the bootloader puts it into the application's slot, where it does not run",
        ),
        (
            net(address=0x0100_2800),
            device(ncs("2.9"), net=NET_FLASH, mode=OVERWRITES),
            "net-elsewhere",
            "and only a debugger brings the device back",
        ),
        (net(address=0x0100_2800), device(ncs("2.5"), net=NET_FLASH), "net-elsewhere", "which refuses it"),
        (net(address=0x0100_2800), two_pairs(net=NET_FLASH), "net-elsewhere", "stops at every boot"),
        (
            net(),
            device(mode=BootloaderMode.SWAP_USING_OFFSET),
            "net-offset",
            "any other hands it to the network core, which refuses it or erases it",
        ),
        (pair(NEEDS_NET, {}), two_pairs(), "dependency", "skips it and installs net_core_update.bin alone"),
        (pair({}, NEEDS_APP), two_pairs(), "dependency", "skips it and installs app_update.bin alone"),
        (pair({}, NEEDS_APP), two_pairs(ncs("upstream")), "dependency", "the bootloader installs nothing"),
        (app(**NEEDS_NET), two_pairs(), "dependency", "it stays pending"),
        (app(**NEEDS_NET), device(), "dependency", "does not check it and installs the image"),
    ],
)
def test_the_words_name_the_loader_and_what_it_does(
    make: Maker, package: Packed, state: DeviceState, code: str, words: str
) -> None:
    said = next(one.message for one in preflight(package(make), state) if one.code == code)
    assert words in said


@pytest.mark.parametrize("core", list(Core))
def test_a_dependency_of_the_wrong_length_is_an_error_where_there_are_two_image_pairs(make: Maker, core: Core) -> None:
    """Upstream's and Nordic's loaders take no image at all then; with one image pair none looks."""
    good = make.image(Role(core))
    image = with_protected(good.image, make.key, Tlv(TlvType.DEPENDENCY, bytes(11)))
    package = Package((PackageImage.from_bytes(image.to_bytes(), good.file, good.entry),))
    for state, severity in ((two_pairs(), ERROR), (device(), WARNING)):
        found = [one for one in preflight(package, state) if one.code == "tlv-size"]
        assert [(one.severity, one.core) for one in found] == [(severity, core)]
        assert "nothing while" in found[0].message


def test_what_decides_is_asked_for(make: Maker) -> None:
    """Where releases differ for the release, where only their partitions do for those, where nothing does for none."""

    def advice(evidence: Evidence) -> str:
        return next(finding_advice(one) for one in preflight(net()(make), device(evidence)) if one.code == "net-erased")

    assert "--ncs" in advice(NO_EVIDENCE)
    assert "--partitions pm or --partitions dts" in advice(ncs("3.4.0"))
    assert "--only app" in advice(ncs("3.4.0", DTS))


def test_two_unmet_dependencies_are_told_as_the_loader_takes_them(make: Maker) -> None:
    """It stops at the application's: the network image is installed though its own is unmet."""
    found = [one for one in preflight(pair(NEEDS_NET, NEEDS_APP)(make), two_pairs()) if one.code == "dependency"]
    assert [(one.core, one.severity) for one in found] == [(Core.APP, ERROR), (Core.NET, ERROR)]
    assert "installs net_core_update.bin alone" in found[0].message
    assert "installs this image alone" in found[1].message


def test_the_application_in_place_is_the_one_that_counts(make: Maker) -> None:
    """The package's own application runs already, so the network image is marked alone."""
    app_image = make.image(Role.APP, needs=(1, Version(2)))
    package = make.package(app_image, make.image(Role.NET, "1.5.0"))
    runs = replace(RUNS, version="2.0.0", hash=app_image.hash)
    found = preflight(package, two_pairs(slots=(runs,)))
    assert ("dependency-halts", ERROR) in codes(found)
    assert ("dependency-halts", ERROR) not in codes(preflight(package, two_pairs()))


def test_an_image_alone_is_judged_by_the_loaders_too(make: Maker) -> None:
    """``smpdfu upload`` asks for one image."""
    image = make.image(Role.APP, fixed=0)
    assert codes(image_findings(image, device(ncs("3.4.1", DTS)))) == [("address", ERROR)]


@pytest.mark.parametrize("loader", LOADERS, ids=[one.name for one in LOADERS])
@pytest.mark.parametrize("mode", [BootloaderMode.SWAP_WITHOUT_SCRATCH, OVERWRITES])
def test_an_image_of_our_own_package_is_installed_by_every_release(
    make: Maker, loader: Loader, mode: BootloaderMode
) -> None:
    """With the slot's address in the header no release speaks against it, but the one that erases all."""
    evidence = Evidence((Clue(Source.PERSON, "this one", frozenset({loader})),))
    found = preflight(make.package(), device(evidence, mode=mode))
    erases = evidence.words == "NCS 3.4.0 (devicetree partitions)"
    assert [one.code for one in found if one.severity is ERROR] == (["net-erased"] if erases else [])


def test_what_the_journal_keeps_of_the_application(make: Maker) -> None:
    past = Past.of(make.package(make.image(Role.APP, needs=(1, Version(2, 1)))))
    assert past.needs == (Dependency(1, Version(2, 1)),)
    assert Past.from_entry(past.to_entry()) == past
    assert Past.from_entry(Past.of(make.package()).to_entry()).needs == ()
    for wrong in ({"needs": 1}, {"needs": [1]}, {"needs": [[1]]}, {"needs": [[1, "x"]]}, {"needs": [["1", "1.0"]]}):
        assert Past.from_entry(wrong) == Past()
