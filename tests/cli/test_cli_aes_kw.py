"""AES-KW from end to end: one secret file encrypts and decrypts, and nothing else does."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys

LAYOUT = ("-H", "0x200", "--pad-header", "-S", "0x20000", "-v", "1.2.3")


@pytest.mark.parametrize("size", [16, 32])
def test_one_secret_encrypts_and_decrypts(size: int, raw: Path, keys: Keys, smpdfu: Call, tmp_path: Path) -> None:
    secret, other, out = (tmp_path / name for name in ("kek.b64", "other.b64", "out.bin"))
    secret.write_bytes(b64encode(bytes(range(size))) + b"\n")
    other.write_bytes(bytes(size))
    done = smpdfu("sign", *LAYOUT, "-k", keys.signing, "-E", secret, "--encrypt-keylen", 8 * size, raw, out)
    assert done.code == 0, done.err
    done = smpdfu("verify", "-k", keys.signing, "--enc-key", secret, out)
    assert done.code == 0, done.err
    for wrong in (other, keys.encryption):
        done = smpdfu("verify", "--json", "-k", keys.signing, "--enc-key", wrong, out)
        assert (done.code, [one["code"] for one in done.document["refusals"]]) == (3, ["encryption-key"])


def test_a_public_key_decrypts_nothing(signed: Path, keys: Keys, smpdfu: Call) -> None:
    done = smpdfu("verify", "--enc-key", keys.encryption_public, signed)
    assert done.code == 3
    assert "needs the private one" in done.err
