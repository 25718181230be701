"""The readers of a build folder: each format by small texts of its own, and by texts that are none."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.dfu.build_folder.formats import devicetree, documents, kconfig, partitions
from smpdfu.dfu.build_folder.formats.partitions import Memory, Partition
from smpdfu.errors import FormatError

CONFIG = b"""#
# Automatically generated file; DO NOT EDIT.
CONFIG_BOARD="nrf5340dk"
CONFIG_MCUBOOT=y
# CONFIG_BOOT_UPGRADE_ONLY is not set
CONFIG_ROM_START_OFFSET=0x200
CONFIG_UPDATEABLE_IMAGE_NUMBER=2
CONFIG_MCUBOOT_WIFI_PATCHES_IMAGE_NUMBER=-1
CONFIG_BOOT_SIGNATURE_KEY_FILE="C:\\\\keys\\\\a \\"b\\".pem"
CONFIG_EMPTY=""
CONFIG_UPDATEABLE_IMAGE_NUMBER=3
"""


def test_kconfig_values() -> None:
    config = kconfig.parse(CONFIG, ".config")
    assert config.text("CONFIG_BOARD") == "nrf5340dk"
    assert config.flag("CONFIG_MCUBOOT")
    assert not config.flag("CONFIG_BOOT_UPGRADE_ONLY")
    assert config.number("CONFIG_ROM_START_OFFSET") == 0x200
    assert config.number("CONFIG_UPDATEABLE_IMAGE_NUMBER") == 3  # the last line counts
    assert config.number("CONFIG_MCUBOOT_WIFI_PATCHES_IMAGE_NUMBER") == -1
    assert config.text("CONFIG_BOOT_SIGNATURE_KEY_FILE") == 'C:\\keys\\a "b".pem'
    assert config.text("CONFIG_EMPTY") is None
    assert config.number("CONFIG_BOARD") is None
    assert "CONFIG_EMPTY" in config


def test_kconfig_reads_the_line_ends_of_windows() -> None:
    assert kconfig.parse(CONFIG.replace(b"\n", b"\r\n"), "x").values == kconfig.parse(CONFIG, "x").values


@pytest.mark.parametrize("text", ["9" * 20, "0x" + "f" * 17, "1_000", "0b1", "1.5", "", "٣", "--1"])
def test_what_is_no_number_of_kconfig(text: str) -> None:
    assert kconfig.whole_number(text) is None


def test_kconfig_passes_over_absurd_lines() -> None:
    config = kconfig.parse(b"CONFIG_LONG=" + b"9" * 5000 + b"\nCONFIG_" + b"A" * 5000 + b"=1\nCONFIG_B=y\n", "x")
    assert config.values == {"CONFIG_B": "y"}


@pytest.mark.parametrize("data", [b"CONFIG_A=y\n\0", b"#" * (kconfig.MAX_BYTES + 1)])
def test_kconfig_refuses_what_is_no_text_or_too_large(data: bytes) -> None:
    with pytest.raises(FormatError, match=r"\.config"):
        kconfig.parse(data, ".config")


# --- devicetree -----------------------------------------------------------------------------------------------------

DTS = b"""/dts-v1/;

/* node '/' defined in skeleton.dtsi:9 */
/ {
\t#address-cells = < 0x1 >;      /* in skeleton.dtsi:10 */
\tcompatible = "nordic,nrf5340-dk", "a;b{c";
\tchosen {
\t\tzephyr,flash = &flash0;
\t\tzephyr,code-partition = &slot0_partition;
\t};
\tsoc {
\t\tmac = [ 00 11 22 ];
\t\tflash0: flash@0 {
\t\t\tcompatible = "soc-nv-flash";
\t\t\treg = < 0x0 0x100000 >;
\t\t\terase-block-size = < 0x1000 >;
\t\t\twrite-block-size = < 0x4 >;
\t\t\tpartitions {
\t\t\t\tcompatible = "fixed-partitions";
\t\t\t\tboot_partition: partition@0 { reg = < 0x0 0x10000 >; };
\t\t\t\tslot0_partition: secure: partition@10000 {
\t\t\t\t\tcompatible = "fixed-subpartitions";
\t\t\t\t\tranges = < 0x0 0x10000 0x70000 >;
\t\t\t\t\treg = < 0x10000 0x70000 >;
\t\t\t\t\tslot0_ns_partition: partition@40000 { reg = < 0x40000 0x30000 >; };
\t\t\t\t};
\t\t\t};
\t\t};
\t\tflash1: flash@1000000 {
\t\t\tcompatible = "soc-nv-flash";
\t\t\treg = < 0x1000000 0x40000 >;
\t\t\twrite-block-size = < 0x4 >;
\t\t\tpartitions {
\t\t\t\tranges;
\t\t\t\tnet_partition: partition@8800 {
\t\t\t\t\tcompatible = "zephyr,mapped-partition";
\t\t\t\t\treg = < 0x8800 0x37800 >;
\t\t\t\t};
\t\t\t};
\t\t};
\t\tflash2: flash@2000000 {
\t\t\tcompatible = "soc-nv-flash";
\t\t\tranges = < 0x0 0x2000000 0x40000 >;
\t\t\treg = < 0x2000000 0x40000 >;
\t\t\tpartitions {
\t\t\t\tranges;
\t\t\t\tmapped_partition: partition@100 {
\t\t\t\t\tcompatible = "zephyr,mapped-partition";
\t\t\t\t\treg = < 0x100 0x200 >;
\t\t\t\t};
\t\t\t};
\t\t};
\t\tqspi: qspi@2b000 {
\t\t\treg = < 0x2b000 0x1000 >, < 0x10000000 0x10000000 >;
\t\t\tmx25r64: mx25r6435f@0 {
\t\t\t\tcompatible = "nordic,qspi-nor";
\t\t\t\treg = < 0x0 >;
\t\t\t\tpartitions {
\t\t\t\t\tcompatible = "fixed-partitions";
\t\t\t\t\tslot1_partition: partition@2000 { reg = < 0x2000 0x70000 >; };
\t\t\t\t};
\t\t\t};
\t\t};
\t};
};
"""


def test_devicetree_partitions_have_their_addresses() -> None:
    tree = devicetree.parse(DTS, "zephyr.dts")
    found = partitions.of_devicetree(tree)
    assert {label: (one.address, one.size) for label, one in found.items()} == {
        "boot_partition": (0, 0x10000),
        "slot0_partition": (0x10000, 0x70000),
        "secure": (0x10000, 0x70000),
        "slot0_ns_partition": (0x50000, 0x30000),
        "net_partition": (0x100_8800, 0x37800),
        "mapped_partition": (0x200_0100, 0x200),
        "slot1_partition": (0x2000, 0x70000),  # external flash has offsets only
    }
    assert (found["slot0_partition"].sector_size, found["slot0_partition"].write_size) == (0x1000, 4)
    assert found["slot0_partition"].key == "slot0_partition"
    outside = {label for label, one in found.items() if one.memory is not partitions.Memory.INTERNAL}
    assert (outside, found["slot1_partition"].memory) == ({"slot1_partition"}, partitions.Memory.EXTERNAL)
    code = partitions.code_partition(tree)
    assert code is not None
    assert (code.address, code.key) == (0x10000, "zephyr,code-partition")
    flash = tree.chosen("zephyr,flash")
    assert flash is not None
    assert flash.path == "/soc/flash@0"
    assert tree.chosen("zephyr,console") is None


def test_a_simulated_flash_is_in_ram() -> None:
    text = b"""/ { sim: flash-controller@0 { compatible = "zephyr,sim-flash"; flash_sim0: flash@0 {
        compatible = "soc-nv-flash"; reg = <0 0x40000>; partitions { compatible = "fixed-partitions";
        slot2_partition: partition@0 { reg = <0 0x40000>; }; }; }; }; };"""
    found = partitions.of_devicetree(devicetree.parse(text, "x"))["slot2_partition"]
    assert (found.address, found.memory) == (0, partitions.Memory.RAM_AS_FLASH)


def test_chosen_by_path() -> None:
    text = b"/dts-v1/; / { chosen { zephyr,flash = %b; }; a { b@1 { }; }; };"
    for value in (b'"/a/b@1"', b"&{/a/b@1}"):
        found = devicetree.parse(text % value, "x").chosen("zephyr,flash")
        assert found is not None
        assert found.path == "/a/b@1"


def test_more_of_a_node_counts_for_the_node() -> None:
    tree = devicetree.parse(b"/dts-v1/; / { a: b { reg = <1>; }; }; &a { reg = <2>; };", "x")
    assert tree.by_label["a"].numbers("reg") == (2,)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"/ {", "does not end"),
        (b"};", "did not begin"),
        (b"/ { a = <1> };", "does not end"),
        (b"/ { a = <1>", "does not end"),
        (b'/ { a = "', "no devicetree"),
        (b"/ {\n a \x00 };", "line 2"),
        (b"{ };", "no name"),
        (b"/ { " + b"a { " * 200, "levels"),
        (b"\x7fELF\x01\x02", "no devicetree"),
    ],
)
def test_what_is_no_devicetree_is_refused_with_its_place(text: bytes, what: str) -> None:
    with pytest.raises(FormatError, match=what):
        devicetree.parse(text, "zephyr.dts")


def test_devicetree_has_bounds() -> None:
    with pytest.raises(FormatError, match="larger"):
        devicetree.parse(b" " * (devicetree.MAX_BYTES + 1), "x")
    many = b"/ { " + b"".join(b"n%d { };" % number for number in range(devicetree.MAX_NODES + 1)) + b"};"
    with pytest.raises(FormatError, match="nodes"):
        devicetree.parse(many, "x")


@given(st.binary(max_size=400))
def test_a_reader_of_devicetree_raises_nothing_else(data: bytes) -> None:
    for text in (data, DTS[: len(data) * 7] + data, DTS.replace(b"partitions", data[:20])):
        with suppress(FormatError):
            partitions.of_devicetree(devicetree.parse(text, "x"))


@given(st.text(st.sampled_from('/{}<>;=&",ab1 @:-*\n'), max_size=300))
def test_a_reader_of_devicetree_raises_nothing_else_for_its_own_letters(text: str) -> None:
    with suppress(FormatError):
        devicetree.parse(text.encode(), "x")


@given(st.lists(st.integers(-1, 1 << 70), max_size=6), st.lists(st.integers(0, 1 << 70), max_size=7))
def test_absurd_numbers_make_no_partition(reg: list[int], ranges: list[int]) -> None:
    words = [" ".join(map(hex, numbers)) for numbers in (reg, ranges)]
    text = "/ { f { write-block-size = <4>; ranges = <%s>; p { compatible = 'fixed-partitions'; "
    text = text.replace("'", '"') % words[1] + f"s: a {{ reg = <{words[0]}>; }}; }}; }}; }};"
    for one in partitions.of_devicetree(devicetree.parse(text.encode(), "x")).values():
        assert 0 <= one.address <= partitions.LARGEST_ADDRESS
        assert 0 < one.size <= 1 << 32


# --- the Partition Manager ------------------------------------------------------------------------------------------


def test_pm_config() -> None:
    text = b"PM_APP_OFFSET=0xc200\nPM_APP_ADDRESS=0xc200\nPM_APP_END_ADDRESS=0x86000\nPM_APP_SIZE=0x79e00\nPM_NUM=1\n"
    config = kconfig.parse(text, "pm.config")
    assert partitions.of_pm_config(config) == {"app": Partition(0xC200, 0x79E00, "pm.config", "PM_APP")}


@pytest.mark.parametrize("size", ["0x0", "-5", "0x1ffffffff", "y", '""'])
def test_pm_config_without_a_possible_size(size: str) -> None:
    text = f"PM_A_ADDRESS=0x10\nPM_A_SIZE={size}\nPM_B_ADDRESS=0x10\n"
    assert partitions.of_pm_config(kconfig.parse(text.encode(), "x")) == {}


def test_partitions_yml() -> None:
    text = b"app:\n  address: 0xc200\n  size: 0x79e00\n  span: &id001 [a, b]\nspan2:\n  address: -1\n  size: 1\n3: 4\n"
    inside = Partition(0xC200, 0x79E00, "p.yml", "app", memory=Memory.INTERNAL)
    assert partitions.of_yaml(text, "p.yml") == {"app": inside}
    assert partitions.of_yaml(b"- 1\n", "p.yml") == {}


@pytest.mark.parametrize(
    ("region", "memory"),
    [
        *((str(one), one) for one in Memory),
        ("rram_secondary", None),
        ("[a]", None),
    ],
)
def test_partitions_yml_tells_the_memory(region: str, memory: Memory | None) -> None:
    text = f"a: {{address: 0, size: 16, region: {region}}}".encode()
    assert partitions.of_yaml(text, "p.yml")["a"].memory is memory


@given(
    st.dictionaries(
        st.text(max_size=5), st.one_of(st.none(), st.integers(), st.text(max_size=5), st.floats()), max_size=4
    )
)
def test_partitions_yml_of_anything(document: dict[str, object]) -> None:
    import yaml

    text = yaml.safe_dump({"a": document, "b": {"address": document.get("x"), "size": True}}).encode()
    assert set(partitions.of_yaml(text, "x")) <= {"a"}


# --- the small files ------------------------------------------------------------------------------------------------


def test_domains() -> None:
    text = b"""default: app
build_dir: /home/user/build
domains:
  - name: app
    build_dir: /home/user/build/app
  - name: ../../etc
    build_dir: /etc
  - name: ..
  - name: mcuboot
  - 7
flash_order:
  - mcuboot
"""
    assert documents.parse_domains(text) == documents.Domains("app", ("app", "mcuboot"))
    assert documents.parse_domains(b"[]") == documents.Domains(None, ())
    assert documents.parse_domains(b"default: [a]\ndomains: 3\n") == documents.Domains(None, ())


def test_board_of_build_info() -> None:
    text = b"cmake:\n  board:\n    name: nrf5340dk\n    qualifiers: nrf5340/cpuapp\nversion: 0.1.0\n"
    assert documents.parse_board(text) == "nrf5340dk/nrf5340/cpuapp"
    assert documents.parse_board(b"cmake:\n  board:\n    name: old_board\n") == "old_board"
    for other in (b"cmake: 1", b"[]", b"cmake:\n  board: x", b"cmake:\n  board:\n    name: 3"):
        assert documents.parse_board(other) is None


def test_define() -> None:
    text = b'#define NCS_PATCHLEVEL 0\n#define NCS_VERSION_STRING           "3.0.2"\n#define B "x"\n'
    assert documents.parse_define(text, "NCS_VERSION_STRING") == "3.0.2"
    assert documents.parse_define(text, "NCS_PATCHLEVEL") is None


def test_public_key() -> None:
    text = b"/* Autogenerated */\nconst unsigned char ecdsa_pub_key[] = {\n    0x30, 0x59,\n    0x0a\n};\n"
    assert documents.parse_public_key(text) == b"\x30\x59\x0a"
    for other in (b"", b"x_pub_key[] = {};", b"x_pub_key[] = { 0x100 };", b"x_pub_key[] = { xx };"):
        with pytest.raises(FormatError):
            documents.parse_public_key(other)


@given(st.binary(max_size=300))
def test_the_small_files_raise_nothing_else(data: bytes) -> None:
    for parse in (documents.parse_domains, documents.parse_board, documents.parse_public_key):
        with suppress(FormatError):
            parse(data)
    documents.parse_define(data, "NCS_VERSION_STRING")
