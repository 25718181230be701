"""What a build says of the key that seals for NSIB, and of the seals in its package."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from smpdfu.dfu.build_folder.build import Build, BuildRole, BuildWarning, UpdateImage
from smpdfu.dfu.build_folder.packing.firmware import Code
from smpdfu.dfu.build_folder.packing.named_keys import file_of, public_half
from smpdfu.dfu.package.images import Core, PackageImage, Role
from smpdfu.dfu.package.made import PackageWarning
from smpdfu.dfu.package.seals import LOADERS, resealed, seal_of, seal_warnings
from smpdfu.errors import PackageError, SigningError
from smpdfu.image.image_file import naming
from smpdfu.image.keys.keys import PublicHalf, Signer
from smpdfu.image.nsib.seal import raw_public_key
from smpdfu.image.nsib.sealing import seal_again

UNSEALED = "net-unsealed"


def check_nsib_signer(build: Build, nsib_signer: PublicHalf | None, *, release: bool) -> Iterator[BuildWarning]:
    """What is to be said of the key that seals, and of firmware that is not sealed.

    Raises PackageError for a key that has nothing to seal (``seal-what``), and with ``release`` for a network core's
    image that b0n refuses (``net-unsealed``).
    """
    if nsib_signer is None:
        unsealed = next((one for one in build.warnings if one.code == UNSEALED), None)
        if unsealed is not None and release:
            raise PackageError(f"{unsealed.message}. So it cannot be released").because(UNSEALED)
        return
    if not build.mcuboot_updates and all(one.role is not Role.NET for one in build.updates):
        raise PackageError(
            "there is nothing to seal: the build has no image for the network core, and no b0 below MCUboot"
        ).because("seal-what")
    if build.nsib is None or not build.nsib.by_hash or build.mcuboot_updates:  # else no key matters
        yield from other_key_warning(build, nsib_signer)


def other_key_warning(build: Build, nsib_signer: PublicHalf) -> Iterator[BuildWarning]:
    """A warning for a key that the build does not name. Raises SigningError for a key that NSIB cannot check."""
    named, key = _named_keys(build), raw_public_key(nsib_signer)
    if named and key not in named.values():
        files = " and ".join(str(path) for path in named)
        yield BuildWarning(
            "nsib-other-key",
            f"the build names another key for NSIB ({files}): devices that were provisioned with that alone refuse "
            "this firmware",
        )


def without_seal_warning(warnings: Iterable[BuildWarning], nsib_signer: PublicHalf | None) -> Iterator[BuildWarning]:
    """The warnings of the build, without the one that the key that seals answers."""
    return (one for one in warnings if nsib_signer is None or one.code != UNSEALED)


def _named_keys(build: Build) -> dict[Path, bytes]:
    """The keys that the build provisions, as far as their files are there: by file, x and y of each."""
    nsib = build.nsib
    if nsib is None:
        return {}
    texts = [] if nsib.key_file is None else [nsib.key_file.value]
    texts += [] if nsib.more_key_files is None else nsib.more_key_files.value.replace(";", ",").split(",")
    found: dict[Path, bytes] = {}
    for text in texts:
        path = file_of(text.strip())
        key = None if path is None else public_half(path)
        if path is not None and key is not None and key.kind.name == "ecdsa-p256":
            found[path] = raw_public_key(key)
    return found


def seal_network(
    update: UpdateImage, code: Code, nsib_signer: Signer, file: Path
) -> tuple[bytes, list[PackageWarning]]:
    """The network core's firmware, sealed, and what is to be said of it. Raises ImageError, SigningError."""
    with naming(file):
        sealed = seal_again(code.payload, code.address, nsib_signer)
    return sealed.data, [] if sealed.earlier is None else [resealed(update.role.core)]


def check_seals(
    build: Build, images: Sequence[PackageImage], *, release: bool, sealed_now: bool
) -> Iterator[PackageWarning]:
    """What is to be said of the seals in a package of this build: see ``seal_warnings``, and the build's debug key.

    What the build itself says of a missing seal, ``check_nsib_signer`` has said.
    """
    nsib = build.nsib
    by_key = [one for one in images if one.role is not Role.NET or nsib is None or not nsib.by_hash]
    by_hash = [one for one in images if one not in by_key]
    found = [
        *seal_warnings(by_key, release=release, checks_keys=not sealed_now),
        *seal_warnings(by_hash, release=release, checks_keys=False),
    ]
    for warning in found:
        if warning.code != UNSEALED or build.image(BuildRole.B0N) is None:
            yield warning
    if nsib is not None and not sealed_now:
        yield from _debug_seals(build, by_key, release=release)


def _debug_seals(build: Build, images: Sequence[PackageImage], *, release: bool) -> Iterator[PackageWarning]:
    """A warning for each image that is sealed with the key that the build made; with ``release`` an error."""
    nsib = build.nsib
    if nsib is None or nsib.key_file is not None or nsib.generated_key is None:
        return
    key = public_half(build.root / nsib.generated_key.value)
    if key is None or key.kind.name != "ecdsa-p256":
        return
    for image in images:
        seal = seal_of(image)
        if seal is not None and seal.validation is not None and seal.validation.public_key == raw_public_key(key):
            text = (
                f"the seal for {LOADERS[image.role]} is made with a debug key, which the build made for itself "
                f"({nsib.generated_key.value})"
            )
            if release:
                raise SigningError(f"{text}, so it cannot be released").because("nsib-debug-key")
            yield PackageWarning("nsib-debug-key", text, Core.NET if image.role is Role.NET else None)
