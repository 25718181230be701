"""Every algorithm of the signer, in every way of updating: taken, and encrypted again on the way back."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import TYPE_CHECKING

import pytest

from smpdfu.image.encrypt import DecryptionKey
from smpdfu.image.format import Version
from smpdfu.image.kek import KeyEncryptionKey
from smpdfu.image.keys import PrivateKey, generate
from smpdfu.image.trailer import SwapMode
from smpdfu.virtual.bootloader import BootKeys

if TYPE_CHECKING:
    from tests.virtual.virtual_bench import SIGNING, Bench, small_layout
else:
    from virtual_bench import SIGNING, Bench, small_layout

OLD, NEW = Version(1), Version(2)
SIGNERS = ("rsa-2048", "rsa-3072", "ecdsa-p256", "ecdsa-p384", "ed25519")
SWAPS = (SwapMode.SCRATCH, SwapMode.MOVE, SwapMode.OFFSET)
RECIPIENTS = ("rsa-2048", "ecdsa-p256", "x25519", "aes-kw")


@cache
def key(kind: str) -> PrivateKey:
    return generate(kind)


def decryption_key(kind: str) -> DecryptionKey:
    return KeyEncryptionKey(bytes(range(16))) if kind == "aes-kw" else key(kind)


def versions(bench: Bench, image: bytes) -> list[Version | None]:
    """What runs after each of three boots when ``image`` is tested."""
    bench.write("primary", bench.app_image(1, version=OLD))
    bench.upload(image)
    found = (bench.boot().running for _ in range(3))
    return [None if running is None else running.header.version for running in found]


@pytest.mark.parametrize("kind", SIGNERS)
def test_a_signature_of_every_kind_is_taken_and_a_stranger_s_is_not(kind: str) -> None:
    bench = Bench(keys=BootKeys((SIGNING.public, key(kind).public)))
    image = bench.app_image(2, version=NEW, key=key(kind))
    assert versions(bench, image) == [NEW, OLD, OLD]
    assert versions(bench, bench.app_image(2, version=NEW, key=generate("ecdsa-p256"))) == [OLD, OLD, OLD]


def test_a_pure_signature_is_taken() -> None:
    bench = Bench(keys=BootKeys((SIGNING.public, key("ed25519").public)))
    assert versions(bench, bench.app_image(2, version=NEW, key=key("ed25519"), pure=True)) == [NEW, OLD, OLD]


@pytest.mark.parametrize(("mode", "kind"), list(product(SWAPS, RECIPIENTS)))
def test_what_was_decrypted_is_encrypted_again_when_it_goes_back(mode: SwapMode, kind: str) -> None:
    secret = decryption_key(kind)
    signer = {"rsa-2048": "rsa-2048", "ecdsa-p256": "ecdsa-p256"}.get(kind, "ed25519")
    bench = Bench(small_layout(mode), BootKeys((SIGNING.public, key(signer).public), secret))
    image = bench.app_image(2, version=NEW, key=key(signer), encrypt=secret)
    assert versions(bench, image) == [NEW, OLD, OLD]
    secondary = bench.slots.secondary.area
    start = 4096 if mode is SwapMode.OFFSET else 0
    assert secondary.read(start, len(image)) == image


@pytest.mark.parametrize("kind", RECIPIENTS)
def test_overwriting_decrypts_every_kind(kind: str) -> None:
    secret = decryption_key(kind)
    signer = {"rsa-2048": "rsa-2048", "ecdsa-p256": "ecdsa-p256"}.get(kind, "ed25519")
    bench = Bench(small_layout(SwapMode.OVERWRITE_ONLY), BootKeys((SIGNING.public, key(signer).public), secret))
    assert versions(bench, bench.app_image(2, version=NEW, key=key(signer), encrypt=secret)) == [NEW, NEW, NEW]


@pytest.mark.parametrize(("built", "sent"), list(product((16, 32), (128, 256))))
def test_a_bootloader_takes_one_length_of_content_keys(built: int, sent: int) -> None:
    secret = key("ecdsa-p256")
    bench = Bench(keys=BootKeys((SIGNING.public,), secret, content_key_size=built))
    image = bench.app_image(2, version=NEW, encrypt=secret, encrypt_keylen=sent)
    assert versions(bench, image) == ([NEW, OLD, OLD] if built * 8 == sent else [OLD, OLD, OLD])


def test_x25519_with_sha512_is_taken() -> None:
    secret = key("x25519")
    bench = Bench(keys=BootKeys((SIGNING.public, key("ed25519").public), secret))
    image = bench.app_image(2, version=NEW, key=key("ed25519"), encrypt=secret, hmac_sha="512")
    assert versions(bench, image) == [NEW, OLD, OLD]
