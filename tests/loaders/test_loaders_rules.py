"""The rows of the rules, and what a build makes of them; addresses are those of the nRF5340 DK's layouts."""

from __future__ import annotations

import pytest

from smpdfu.loaders.releases import LATEST, UPSTREAM, UPSTREAM_OLD, Generation, Partitions, releases_of
from smpdfu.loaders.rules import NORDIC, RULES, Build, HandOver, Left, Loader, Recognition, titles, usual_build

PM, DTS = Partitions.PM, Partitions.DTS
HOME, NET = range(0xC000, 0x8_6000), range(0x0100_8800, 0x0104_0000)
APP_VECTOR, NET_VECTOR, QSPI_VECTOR, OTHER_B0N = 0xC301, 0x0100_8901, 0x1200_0301, 0x0100_2901


def loader(name: str, partitions: Partitions = PM) -> Loader:
    return Loader(releases_of(name)[0], partitions)


VECTOR_TELLS = [(loader(name), NET_VECTOR, 0) for name in ("2.3", "2.9", "3.3", "3.4.0", "3.4.1", "latest")]
HEADER_TELLS = [(loader(name, DTS), APP_VECTOR, NET.start) for name in ("3.4.0", "3.4.1", "latest")]


@pytest.mark.parametrize(("one", "vector", "address"), VECTOR_TELLS + HEADER_TELLS)
def test_what_tells_a_network_image(one: Loader, vector: int, address: int) -> None:
    build = usual_build(one)
    assert build.is_for_network(vector, address, NET)
    assert not build.is_for_network(APP_VECTOR, HOME.start, NET)
    assert not build.is_for_network(None, 0, NET)
    assert not usual_build(one, staged=False).is_for_network(vector, address, NET)


@pytest.mark.parametrize("vector", [QSPI_VECTOR, OTHER_B0N, 0xA3F1_5E77])
def test_only_the_oldest_loaders_take_all_that_is_high_for_a_network_image(vector: int) -> None:
    assert usual_build(loader("2.7")).is_for_network(vector, 0, NET)
    assert not usual_build(loader("2.8")).is_for_network(vector, 0, NET)
    assert not usual_build(loader("2.7")).is_for_network(0x0100_0000, 0, NET)


def test_upstream_knows_no_network_core() -> None:
    for release in (UPSTREAM, UPSTREAM_OLD):
        build = usual_build(Loader(release))
        assert build.rule.recognition is Recognition.NEVER
        assert not build.is_for_network(NET_VECTOR, NET.start, NET)
        assert not build.rule.skips_one


def test_a_build_with_partition_manager_that_checks_the_header_goes_by_it() -> None:
    build = Build(loader("3.4.1"), checks_header=True)
    assert build.is_for_network(APP_VECTOR, NET.start, NET)
    assert not build.is_for_network(NET_VECTOR, HOME.start, NET)
    assert not Build(loader("3.4.1", DTS)).is_for_network(APP_VECTOR, NET.start, NET)


@pytest.mark.parametrize(
    ("name", "partitions", "staged", "overwrites", "encrypts", "header", "vector"),
    [
        ("2.3", PM, True, False, False, False, False),
        ("2.9", PM, True, True, False, False, False),
        ("2.9", PM, False, True, False, False, True),
        ("2.9", PM, False, True, True, False, False),
        ("2.9", PM, False, False, False, False, False),
        ("3.3", DTS, True, False, False, False, False),
        ("3.4.0", PM, True, False, False, False, False),
        ("3.4.0", DTS, True, False, False, True, False),
        ("3.4.1", DTS, True, True, True, True, False),
        ("3.4.1", DTS, False, True, False, False, True),
    ],
)
def test_which_addresses_a_usual_build_checks(
    name: str, partitions: Partitions, staged: bool, overwrites: bool, encrypts: bool, header: bool, vector: bool
) -> None:
    build = usual_build(loader(name, partitions), staged=staged, overwrites=overwrites, encrypts=encrypts)
    assert (build.checks_header, build.checks_vector) == (header, vector)
    assert build.compares_addresses == (header or vector)


def test_builds_with_uuids_or_a_split_xip_image_leave_the_header_alone() -> None:
    assert not usual_build(loader("3.4.0", DTS), by_uuid=True).checks_header
    assert usual_build(loader("3.4.0", DTS), xip_split=True).checks_header
    assert not usual_build(loader("3.4.1", DTS), xip_split=True).checks_header


@pytest.mark.parametrize(("name", "kept"), [("3.2", False), ("3.4.0", False), ("3.4.1", True)])
def test_whom_the_address_check_lets_through(name: str, kept: bool) -> None:
    by_header = Build(loader(name), checks_header=True)
    assert by_header.is_kept(None, HOME.start, HOME, NET)
    assert by_header.is_kept(None, NET.start, HOME, NET) is kept
    assert not by_header.is_kept(APP_VECTOR, 0, HOME, NET)
    by_vector = Build(loader(name), checks_vector=True)
    assert by_vector.is_kept(APP_VECTOR, 0, HOME, NET)
    assert by_vector.is_kept(NET_VECTOR, 0, HOME, NET) is kept
    assert not by_vector.is_kept(None, HOME.start, HOME, NET)
    assert not Build(loader(name), staged=False, checks_vector=True).is_kept(NET_VECTOR, 0, HOME, NET)
    assert Build(loader(name), checks_vector=True, encrypts=True).is_kept(QSPI_VECTOR, 0, HOME, NET)
    assert Build(loader(name)).is_kept(QSPI_VECTOR, 0, HOME, NET)


TAKEN_IS_UNMARKED = HandOver(Left.NO_TRAILER, Left.ALL)
KEPT = HandOver(Left.ALL, Left.ALL)


@pytest.mark.parametrize(
    ("name", "swapping", "overwriting"),
    [
        ("2.3", TAKEN_IS_UNMARKED, KEPT),
        ("3.1", TAKEN_IS_UNMARKED, KEPT),
        ("3.3", TAKEN_IS_UNMARKED, KEPT),
        ("3.4.0", TAKEN_IS_UNMARKED, KEPT),
        ("3.4.1", HandOver(Left.NO_TRAILER, Left.NO_TRAILER), HandOver(Left.NO_HEADER, Left.NO_HEADER)),
    ],
)
def test_what_a_hand_over_leaves(name: str, swapping: HandOver, overwriting: HandOver) -> None:
    assert usual_build(loader(name)).handover == swapping
    assert usual_build(loader(name), overwrites=True).handover == overwriting


@pytest.mark.parametrize(
    ("name", "staged", "overwrites", "compares"),
    [
        ("3.4.0", True, False, False),
        ("3.4.1", True, False, True),
        ("3.4.1", True, True, True),
        ("2.5", False, True, True),
        ("3.4.1", False, False, False),
    ],
)
def test_where_the_network_core_s_versions_are_compared(
    name: str, staged: bool, overwrites: bool, compares: bool
) -> None:
    parts = {"staged": staged, "overwrites": overwrites}
    assert (
        usual_build(loader(name), **parts, prevents_downgrade=True, reads_net_version=True).compares_network is compares
    )
    assert not usual_build(loader(name), **parts, prevents_downgrade=True).compares_network
    assert not usual_build(loader(name), **parts, reads_net_version=True).compares_network


def test_what_the_hook_of_two_pairs_hands_over() -> None:
    for vector, partition_manager, devicetree in (
        (None, False, False),
        (APP_VECTOR, False, False),
        (NET_VECTOR, True, True),
        (OTHER_B0N, True, False),
        (QSPI_VECTOR, True, True),
    ):
        assert Build(loader("3.4.1"), staged=False).is_handed_over(vector, NET) is partition_manager
        assert Build(loader("3.4.1", DTS), staged=False).is_handed_over(vector, NET) is devicetree


# --- loaders --------------------------------------------------------------------------------------------------------


def test_a_loader_has_a_name_that_is_read_back() -> None:
    for one in (*NORDIC, Loader(UPSTREAM), Loader(UPSTREAM_OLD)):
        assert Loader.from_name(one.name) == one
        assert one.rule is RULES[one.release.generation, one.partitions]
    assert Loader() == Loader(LATEST, PM)
    assert Loader().name == "3.5/pm"


@pytest.mark.parametrize("name", ["", "3.5", "9.9/pm", "3.5/xx", "2.5/dts"])
def test_what_is_no_loader(name: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the words are for programmers
        Loader.from_name(name)


def test_titles_name_generations_and_who_laid_out_the_flash_where_that_matters() -> None:
    assert titles([loader("2.3"), loader("2.5")]) == Generation.G1
    assert titles([loader("3.3", DTS)]) == Generation.G3
    assert titles([loader("3.4.0", DTS), loader("2.9")]) == "NCS 2.8 to 3.1, NCS 3.4.0 (devicetree partitions)"
    assert titles([loader("3.4.1"), loader("3.4.1", DTS)]) == Generation.G5
    assert titles([loader("latest")]) == "NCS 3.4.1 and later (Partition Manager)"
    assert titles([Loader(UPSTREAM), Loader(UPSTREAM_OLD)]) == "upstream MCUboot, upstream MCUboot until 2.1"
    assert titles([]) == ""
