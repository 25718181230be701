"""The seals of NSIB before an update: judged by the keys that are given, else noted as not checked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.dfu.decide.checks.demands import check_seals
from smpdfu.dfu.decide.checks.findings import Finding, Severity
from smpdfu.dfu.decide.checks.preflight import image_findings, preflight
from smpdfu.dfu.decide.checks.seals import seal_faults
from smpdfu.dfu.package.images import PackageImage, Role
from smpdfu.errors import FormatError, PlanError, SigningError
from smpdfu.image.keys.keys import generate
from smpdfu.image.nsib.provision import ProvisionedKey
from smpdfu.image.nsib.sealed_by import KnownKey
from smpdfu.image.nsib.trusted_keys import NsibKeys, read_nsib_keys
from smpdfu.image.verification.verify import verify
from tests.build_folders import built, key_of

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker, State

OTHER, THIRD = generate("ecdsa-p256").public, generate("ecdsa-p256").public
OWN = "ncs3.0-pm-mcuboot-update"


def seals(found: tuple[Finding, ...]) -> list[tuple[str, Severity]]:
    return [(one.code, one.severity) for one in found if "seal" in one.code]


def told(make: Maker, state: State, *keys: KnownKey, **how: Any) -> list[tuple[str, Severity]]:
    device = replace(state(), nsib=NsibKeys(net=keys))
    return seals(preflight(make.package(make.image(Role.NET, **how)), device))


NOTE, ERROR = ("seal", Severity.NOTE), ("seal", Severity.ERROR)


def test_without_a_key_that_is_noted(make: Maker, state: State) -> None:
    assert told(make, state) == [NOTE]


def test_the_key_of_the_seal(make: Maker, state: State) -> None:
    assert told(make, state, make.key.public) == []


def test_another_key(make: Maker, state: State) -> None:
    assert told(make, state, OTHER) == [ERROR]


def test_no_seal_where_a_key_is_known(make: Maker, state: State) -> None:
    assert told(make, state, make.key.public, sealed=False) == [ERROR]


def test_damaged_firmware_is_one_finding(make: Maker, state: State) -> None:
    assert told(make, state, make.key.public, breaks=0x100) == [("net-seal", Severity.ERROR)]


def test_a_signature_that_is_not_that_of_its_key(make: Maker, state: State) -> None:
    in_signature = 600 + 112 + 8
    assert told(make, state, make.key.public, breaks=in_signature) == [ERROR]
    assert told(make, state, breaks=in_signature) == [NOTE]


def test_a_later_key_revokes_those_before_it(make: Maker, state: State) -> None:
    device = replace(state(), nsib=NsibKeys(net=(OTHER, THIRD, make.key.public)))
    (found,) = (one for one in preflight(make.package(make.image(Role.NET)), device) if one.code == "seal")
    assert found.severity is Severity.NOTE
    assert "key 3 of 3" in found.message
    assert "keys 1 to 2" in found.message


def test_a_revoked_key(make: Maker, state: State) -> None:
    revoked = replace(ProvisionedKey.of(make.key.public), revoked=True)
    assert told(make, state, revoked, ProvisionedKey.of(OTHER)) == [ERROR]
    assert told(make, state, ProvisionedKey.of(make.key.public)) == []


def test_one_image_is_judged_in_the_same_way(make: Maker, state: State) -> None:
    device = replace(state(), nsib=NsibKeys(net=(OTHER,)))
    assert seals(image_findings(make.image(Role.NET), device)) == [ERROR]
    assert seals(image_findings(make.image(), device)) == []


def test_before_a_device_is_asked(make: Maker) -> None:
    images = (make.image(), make.image(Role.NET))
    check_seals(images, NsibKeys())
    check_seals(images, NsibKeys(net=(make.key.public,), b0=(OTHER,)))
    with pytest.raises(PlanError) as caught:
        check_seals(images, NsibKeys(net=(OTHER,)))
    assert caught.value.codes == ("seal",)


def mcuboot_image() -> PackageImage:
    file = built(OWN) / "signed_by_mcuboot_and_b0_s1_image.bin"
    return PackageImage.from_bytes(file.read_bytes(), file.name, {"type": "mcuboot", "slot": "1"})


def test_b0n_looks_at_keys_only_if_it_was_built_to(make: Maker, state: State) -> None:
    """Kconfig of sdk-nrf: ``SB_VALIDATE_FW_SIGNATURE`` is off for the network core by default, ``..._HASH`` is on."""
    (net,) = seal_faults(make.image(Role.NET), NsibKeys(net=(OTHER,)))
    assert net.message.endswith("if b0n was built to check signatures, the network core keeps its firmware")
    (mcuboot,) = seal_faults(mcuboot_image(), NsibKeys(b0=(OTHER,)))
    assert mcuboot.message.endswith(": b0 continues to start the previous MCUboot")
    later = replace(state(), nsib=NsibKeys(net=(OTHER, make.key.public)))
    (note,) = (one for one in image_findings(make.image(Role.NET), later) if one.code == "seal")
    assert "if b0n was built to check signatures, it revokes key 1 permanently" in note.message


def test_mcuboot_itself_is_judged_by_the_keys_of_b0(state: State) -> None:
    image = mcuboot_image()
    with pytest.raises(PlanError):
        check_seals([image], NsibKeys(b0=(OTHER,)))
    check_seals([image], NsibKeys(net=(OTHER,), b0=(key_of(OWN).public,)))
    assert seals(image_findings(image, state())) == [NOTE]


def test_provisioning_data_name_the_keys() -> None:
    keys = read_nsib_keys(built(OWN) / "app_provision.hex")
    assert [key.hash for key in keys if isinstance(key, ProvisionedKey)] == [ProvisionedKey.of(key_of(OWN).public).hash]
    check_seals([mcuboot_image()], NsibKeys(b0=keys))


def test_what_is_no_key_of_nsib(tmp_path: Path) -> None:
    (tmp_path / "ed25519.pem").write_bytes(generate("ed25519").public.to_pem())
    with pytest.raises(SigningError, match="P-256"):
        read_nsib_keys(tmp_path / "ed25519.pem")
    with pytest.raises(FormatError, match=r"zephyr\.hex"):
        read_nsib_keys(built(OWN) / "mcuboot/zephyr/zephyr.hex")


def test_verify_has_the_verdict_of_b0n_too(make: Maker) -> None:
    image = make.image(Role.NET).image
    own, other = NsibKeys(net=(make.key.public,)), NsibKeys(net=(OTHER,))
    assert verify(image, [make.key.public]).accepted
    assert verify(image, [make.key.public], nsib=own).accepted
    verdict = verify(image, [make.key.public], nsib=other)
    assert (verdict.accepted, [one.code for one in verdict.refusals]) == (False, ["seal"])
    assert verify(make.image().image, [make.key.public], nsib=other).accepted
    later = verify(image, [make.key.public], nsib=NsibKeys(net=(OTHER, make.key.public)))
    assert (later.accepted, [one.code for one in later.warnings]) == (True, ["revokes-keys"])
