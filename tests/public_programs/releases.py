"""A program that makes a release, with the public names for it: keys, images, packages, evidence."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

from smpdfu import (
    Attested,
    Board,
    Builder,
    BuildFact,
    BuildOverrides,
    BuildRequest,
    CheckedEvidence,
    Core,
    Dependency,
    EvidenceError,
    Image,
    ImageSpec,
    KeyEncryptionKey,
    LoaderBuild,
    MadePackage,
    McubootRequest,
    NsibKeys,
    Package,
    PackageFile,
    PackageImage,
    PackageRequest,
    PackageWarning,
    PrivateKey,
    Provision,
    ProvisionedKey,
    PublicKey,
    Release,
    Role,
    Sbom,
    SbomComponent,
    SbomImage,
    SealedBy,
    SealState,
    Signer,
    SlotGeometry,
    Subject,
    Surroundings,
    SwapMode,
    Tlv,
    Verdict,
    Verifier,
    Version,
    build,
    check_evidence,
    describe_build,
    load_kek,
    load_key,
    load_private,
    make_build_mcuboot_package,
    make_build_package,
    make_mcuboot_package,
    make_package,
    make_provenance,
    make_sbom,
    new_package,
    open_signer,
    provision_for,
    read_nsib_keys,
    read_provision,
    read_sbom,
    seal,
    sealed_by,
    verify,
)

LINES: list[str] = []


def sign(firmware: bytes, pem: bytes, secret: bytes) -> Image:
    """Sign and encrypt, then check as the bootloader does."""
    key: PrivateKey | PublicKey = load_key(pem)
    elsewhere = open_signer("cmd:./sign.sh", Surroundings(public=key.public))
    signer: Signer = load_private(pem) if isinstance(key, PrivateKey) else elsewhere
    trusted: Verifier = key.public
    wrap: KeyEncryptionKey = load_kek(secret)
    spec = ImageSpec(
        Version.from_text("1.2.3"),
        header_size=0x200,
        slot_size=0x7A000,
        pad_header=True,
        swap_mode=SwapMode.MOVE,
        dependencies=(Dependency(1, Version(1)),),
        custom_tlvs=(Tlv(0xA0, b"batch"),),
    )
    image = build(spec, firmware, signer, wrap)
    verdict: Verdict = verify(
        image, [trusted], enc_key=wrap, slot=SlotGeometry(0x7A000), build=LoaderBuild(encryption=True)
    )
    assert_type(verdict.accepted, bool | None)
    return image


def nsib(firmware: bytes, key: PrivateKey) -> tuple[ProvisionedKey, ...]:
    """Both bootloaders of a core: a seal for the immutable one, and the keys that it trusts."""
    data: Provision = provision_for(0x8000, 0x14000, [key.public], counter_slots=20)
    sealed = seal(firmware, data.s0, key)
    found: SealedBy = sealed_by(sealed, read_provision(data.to_bytes()).keys)
    assert_type(found.state, SealState)
    return data.keys if found.accepted else ()


def pack(app: Path) -> Package:
    """A package with one image."""
    image = PackageImage.from_bytes(app.read_bytes(), app.name)
    package = new_package([(image, 0xC200)], name="meter", board=Board("nrf5340dk/nrf5340"))
    assert_type(package.image(Role.APP), PackageImage | None)
    assert_type(image.core, Core)
    return package


def release(merged: Path, key: Signer, recipient: PublicKey) -> MadePackage:
    """A package of the firmware of both cores."""
    made = make_package(PackageRequest(Version(1, 2, 3), merged=merged, tie=True, release=True), key, recipient)
    warnings: tuple[PackageWarning, ...] = made.warnings
    LINES.extend(f"{warning.core} {warning.code}: {warning.message}" for warning in warnings)
    for name, data in made.files().items():
        merged.with_name(name).write_bytes(data)
    return made


def release_build(folder: Path, key: Signer) -> MadePackage:
    """A package of what `west build` wrote, with a version of our own."""
    facts: tuple[BuildFact, ...] = describe_build(folder)
    LINES.extend(f"{fact.of} {fact.name}: {fact.value} ({fact.origin})" for fact in facts)
    return make_build_package(folder, BuildRequest(overrides=BuildOverrides(version=Version(1, 2, 3))), key)


def prove(made: MadePackage, folder: Path, key: PrivateKey) -> CheckedEvidence:
    """The documents of a release, written beside the package and checked."""
    packed = PackageFile(made.package, made.package.to_bytes(), made.file)
    release = Release((packed,), parameters={"release": True})
    sbom = make_sbom(release)
    (folder / "meter.cdx.json").write_bytes(sbom)
    signed = make_provenance(release, key, sbom=("meter.cdx.json", sbom), builder=Builder("https://ci.example/meter"))
    (folder / "meter.intoto.json").write_bytes(signed)
    found = check_evidence(folder / packed.file, provenance=folder / "meter.intoto.json", keys=[key.public])
    attested: Attested | None = found.attested
    subjects: tuple[Subject, ...] = () if attested is None else attested.subjects
    LINES.extend(f"{subject.kind} {subject.name}: {subject.sha256}" for subject in subjects)
    return found


def release_mcuboot(s0: Path, s1: Path, folder: Path, key: Signer, nsib: Signer) -> MadePackage:
    """MCUboot's own update: of a build folder with b0 below MCUboot, else of two files."""
    made = make_build_mcuboot_package(folder, None, key, nsib)
    if isinstance(made, MadePackage):
        return made
    if made is not None:
        LINES.append(made.message)
    return make_mcuboot_package(McubootRequest(Version(1, 2, 3), s0, s1), key, nsib)


def software_of(path: Path) -> list[str]:
    """What the images of a package contain, as its SBOM says."""
    try:
        sbom: Sbom = read_sbom(path)
    except EvidenceError as error:
        return [str(error)]
    images: tuple[SbomImage, ...] = sbom.images
    parts: list[SbomComponent] = [part for image in images for part in image.components]
    return [f"{part.name} {part.version}" for part in parts]


def nsib_keys(provision: Path) -> NsibKeys:
    """The keys that b0n of our devices was provisioned with."""
    keys = NsibKeys(net=read_nsib_keys(provision))
    hashes = [key.hash.hex() for key in keys.net if isinstance(key, ProvisionedKey) and not key.revoked]
    LINES.extend(hashes)
    return keys
