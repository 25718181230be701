"""Every algorithm of the signer, in every way of updating: taken, and encrypted again on the way back."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import product
from typing import TYPE_CHECKING

import pytest

from smpdfu.image.format import Image, Tlv, TlvType, Version
from smpdfu.image.keys.kek import KeyEncryptionKey
from smpdfu.image.keys.keys import PrivateKey, generate
from smpdfu.image.signing.encrypt import DecryptionKey
from smpdfu.image.trailer import SwapMode
from smpdfu.virtual.boot.bootloader import BootKeys, BootOptions

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


@pytest.mark.parametrize("sent", ["256", "512"])
@pytest.mark.parametrize("hmac_sha512", [False, True])
def test_a_bootloader_takes_content_keys_wrapped_with_one_hash_function(hmac_sha512: bool, sent: str) -> None:
    secret, options = key("x25519"), BootOptions(hmac_sha512=hmac_sha512)
    bench = Bench(keys=BootKeys((SIGNING.public, key("ed25519").public), secret, options=options))
    image = bench.app_image(2, version=NEW, key=key("ed25519"), encrypt=secret, hmac_sha=sent)
    assert versions(bench, image) == ([NEW, OLD, OLD] if hmac_sha512 == (sent == "512") else [OLD, OLD, OLD])


def test_a_bootloader_without_encryption_takes_no_image_with_an_aes_flag() -> None:
    """Not even in the primary slot, and with a plain payload (``--clear``)."""
    secret = key("ecdsa-p256")
    bench = Bench(keys=BootKeys((SIGNING.public,)))
    clear = bench.app_image(2, version=NEW, encrypt=secret, clear=True)
    assert versions(bench, clear) == [OLD, OLD, OLD]
    bench.write("primary", clear)
    assert bench.boot().running is None
    able = Bench(keys=BootKeys((SIGNING.public,), secret))
    able.write("primary", clear)
    assert able.boot().running is not None


def test_the_content_key_of_the_type_that_the_bootloader_is_built_for_counts() -> None:
    secret = key("ecdsa-p256")
    bench = Bench(keys=BootKeys((SIGNING.public,), secret))
    image = Image.from_bytes(bench.app_image(2, version=NEW, encrypt=secret))
    *tlvs, content_key = image.unprotected
    both = replace(image, unprotected=(*tlvs, Tlv(TlvType.ENC_RSA2048, bytes(256)), content_key))
    assert versions(bench, both.to_bytes()) == [NEW, OLD, OLD]
