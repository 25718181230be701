"""KMS keys: securesystemslib's real signers against key stores on this machine (see fake_kms.py)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.evidence.envelope import open_envelope, seal_payload
from smpdfu.errors import KeyFileError, SignatureError, SigningError
from smpdfu.image.format import Version
from smpdfu.image.keys.keys import PrivateKey, generate
from smpdfu.image.nsib.seal import seal
from smpdfu.image.nsib.sealed_by import sealed_by
from smpdfu.image.signers import Surroundings, open_signer
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.image.verification.verify import verify
from smpdfu.securedfu.judging import judge_package
from smpdfu.securedfu.making.making import make_package
from smpdfu.securedfu.making.order import SecureDfuOrder
from smpdfu.securedfu.making.parts import Nrf52Firmware
from tests.nsib_bench import ADDRESS, b0n_takes, network_firmware
from tests.securedfu.nrf52_firmware import write_all

if TYPE_CHECKING:
    from tests.image.fake_kms import (
        AWS_ALGORITHMS,
        AZURE_VERSION,
        FakeCryptographyClient,
        FakeKeyClient,
        KeyStore,
        aws_kms,
        google_kms,
    )
else:
    from fake_kms import (
        AWS_ALGORITHMS,
        AZURE_VERSION,
        FakeCryptographyClient,
        FakeKeyClient,
        KeyStore,
        aws_kms,
        google_kms,
    )

pytest.importorskip("securesystemslib", reason="securesystemslib is not installed (pip install 'smpdfu[kms]')")
pytest.importorskip("boto3", reason="boto3 is not installed (pip install 'smpdfu[kms]')")

SPEC = ImageSpec(Version(1, 2, 3), header_size=0x200, slot_size=0x20000, pad_header=True)
KINDS = tuple(AWS_ALGORITHMS)
GOOGLE_KEY = "projects/p/locations/global/keyRings/r/cryptoKeys/release/cryptoKeyVersions/1"
AZURE_KEY = "azurekms://vault.vault.azure.net/keys/release"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine is reached directly."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyStore]:
    store = KeyStore(generate("ecdsa-p256"))
    with aws_kms(store) as url:
        for name, value in (
            ("AWS_ENDPOINT_URL_KMS", url),
            ("AWS_DEFAULT_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "secret-4711"),
            ("AWS_MAX_ATTEMPTS", "1"),
        ):
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
        yield store


def use_azure(store: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    module = "securesystemslib.signer._azure_signer"
    monkeypatch.setattr(f"{module}.DefaultAzureCredential", lambda: "credential")
    monkeypatch.setattr(f"{module}.KeyClient", lambda vault_url, credential: FakeKeyClient(store, vault_url))
    monkeypatch.setattr(f"{module}.CryptographyClient", lambda key, credential: FakeCryptographyClient(store, key))


def accepted(uri: str, key: PrivateKey, firmware: bytes) -> bool:
    return verify(build(SPEC, firmware, open_signer(uri)), [key.public]).accepted is True


# --- AWS ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("uri", ["awskms:alias/release", "awskms:///alias/release"])
def test_aws_signs(kind: str, uri: str, aws: KeyStore, firmware: bytes) -> None:
    aws.key = generate(kind)
    assert accepted(uri, aws.key, firmware)
    assert aws.asked == ["GetPublicKey alias/release", "Sign alias/release"]


@pytest.mark.parametrize("kind", KINDS)
def test_aws_signs_a_provenance(kind: str, aws: KeyStore) -> None:
    aws.key = generate(kind)
    sealed = seal_payload(b"{}", open_signer("awskms:alias/release"))
    assert open_envelope(sealed, [aws.key.public]) == (b"{}", aws.key.public)


def test_aws_signs_a_package_of_the_nrf5_sdk(aws: KeyStore, tmp_path: Path) -> None:
    write_all(tmp_path)
    part = Nrf52Firmware.read(tmp_path / "app.hex")
    order = SecureDfuOrder(hw_version=52, sd_req=(0x100,), application=part, application_version=1)
    made = make_package(order, open_signer("awskms:alias/release"))
    (judged,) = judge_package(made.package, [generate("ecdsa-p256"), aws.key.public])
    assert (judged.findings, judged.signed_by) == ((), 1)


def test_with_the_public_key_given_nothing_is_fetched(aws: KeyStore, firmware: bytes, tmp_path: Path) -> None:
    file = tmp_path / "release.pub.pem"
    file.write_bytes(aws.key.to_pem())
    assert accepted(f"awskms:alias/release?pub={file}", aws.key, firmware)
    assert aws.asked == ["Sign alias/release"]


def test_a_key_that_is_another_one(aws: KeyStore, firmware: bytes, tmp_path: Path) -> None:
    aws.signer = generate("ecdsa-p256")
    with pytest.raises(SignatureError, match=r"alias/release in AWS KMS gave 7\d bytes that are not a signature"):
        build(SPEC, firmware, open_signer("awskms:alias/release"))
    with pytest.raises(KeyFileError, match="not the public key given"):
        open_signer(f"awskms:alias/release?pub={tmp_path / 'a.pem'}", given_and_file(aws, tmp_path / "a.pem"))


def given_and_file(store: KeyStore, file: Path) -> Surroundings:
    """Two public keys that are not the same: one in the file of the URI, one from elsewhere."""
    file.write_bytes(store.key.to_pem())
    return Surroundings(generate("ecdsa-p256").public)


def test_what_aws_says_is_said(aws: KeyStore) -> None:
    with pytest.raises(
        SigningError, match=r"the key alias/none in AWS KMS: .*NotFoundException.*is not found"
    ) as caught:
        open_signer("awskms:alias/none")
    assert "4711" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_kinds_that_no_cloud_signer_makes(aws: KeyStore) -> None:
    with pytest.raises(KeyFileError, match="cannot be of type ed25519: use one of ecdsa-p256"):
        open_signer("awskms:alias/release", Surroundings(generate("ed25519").public))
    with pytest.raises(SigningError, match="cannot make pure signatures"):
        open_signer("awskms:alias/release").sign_message(b"")


def test_nobody_is_logged_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)  # it remembers who was logged in
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(SigningError, match="AWS KMS: Unable to locate credentials"):
        open_signer("awskms:alias/release")


# --- Google ---------------------------------------------------------------------------------------------------------

CLIENT = "securesystemslib.signer._gcp_signer.kms.KeyManagementServiceClient"


@pytest.mark.parametrize("kind", KINDS)
def test_google_signs(kind: str, firmware: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    store = KeyStore(generate(kind))
    with google_kms(store) as client:
        monkeypatch.setattr(CLIENT, client)
        assert accepted(f"gcpkms:{GOOGLE_KEY}", store.key, firmware)
    assert store.asked == [f"GetPublicKey {GOOGLE_KEY}", f"AsymmetricSign {GOOGLE_KEY}"]


def test_an_rsa_key_made_for_another_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    with google_kms(KeyStore(generate("rsa-2048")), "RSA_SIGN_PKCS1_2048_SHA256") as client:
        monkeypatch.setattr(CLIENT, client)
        with pytest.raises(KeyFileError, match="signs by rsa-pkcs1v15-sha256; MCUboot needs RSA keys for PSS"):
            open_signer(f"gcpkms:{GOOGLE_KEY}")


def test_an_rsa_key_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    raw = rsa.generate_private_key(65537, 4096)
    long = PrivateKey(generate("rsa-3072").kind, raw)
    with google_kms(KeyStore(long), "RSA_SIGN_PSS_4096_SHA256") as client:
        monkeypatch.setattr(CLIENT, client)
        with pytest.raises(KeyFileError, match="in Google Cloud KMS: MCUboot cannot use a key of type rsa-4096"):
            open_signer(f"gcpkms:{GOOGLE_KEY}")


def test_what_google_says_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with google_kms(KeyStore(generate("ecdsa-p256"))) as client:
        monkeypatch.setattr(CLIENT, client)
        with pytest.raises(SigningError, match="Google Cloud KMS: 404 projects/none not found"):
            open_signer("gcpkms:projects/none")


# --- Azure ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ecdsa-p256", "ecdsa-p384"])
@pytest.mark.parametrize("version", ["", f"/{AZURE_VERSION}"])
def test_azure_signs(kind: str, version: str, firmware: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    store = KeyStore(generate(kind))
    use_azure(store, monkeypatch)
    assert accepted(AZURE_KEY + version, store.key, firmware)
    assert store.asked == [
        "get_key https://vault.vault.azure.net/ release",
        f"sign https://vault.vault.azure.net/keys/release/{AZURE_VERSION}",
    ]


def test_an_older_version_of_a_key(firmware: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = KeyStore(generate("ecdsa-p256"))
    use_azure(store, monkeypatch)
    with pytest.raises(KeyFileError, match=f"newest version of release is {AZURE_VERSION}, not old"):
        open_signer(f"{AZURE_KEY}/old")
    file = tmp_path / "release.pub.pem"
    file.write_bytes(store.key.to_pem())
    store.asked.clear()
    assert accepted(f"{AZURE_KEY}/old?pub={file}", store.key, firmware)
    assert store.asked == ["sign https://vault.vault.azure.net/keys/release/old"]


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("azurekms:release", "an azurekms: URI is azurekms://VAULT"),
        ("azurekms://vault.vault.azure.net/keys/release/1/2", "an azurekms: URI is"),
        ("azurekms://vault.vault.azure.net/secrets/release", "an azurekms: URI is"),
        ("azurekms://vault.vault.azure.net/keys/none", r"\(KeyNotFound\)"),
    ],
)
def test_what_is_not_in_azure(uri: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use_azure(KeyStore(generate("ecdsa-p256")), monkeypatch)
    with pytest.raises(SigningError, match=sentence):
        open_signer(uri)


def test_azure_has_no_rsa(monkeypatch: pytest.MonkeyPatch) -> None:
    use_azure(KeyStore(generate("rsa-2048")), monkeypatch)
    with pytest.raises(SigningError, match="Unsupported key type RSA"):
        open_signer(AZURE_KEY)


def test_a_cloud_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "securesystemslib.signer._aws_signer.AWS_IMPORT_ERROR", "Signing with AWS KMS requires aws-kms."
    )
    with pytest.raises(
        KeyFileError, match=r"^awskms: keys need an extra, pip install 'smpdfu\[kms\]': Signing with AWS"
    ):
        open_signer("awskms:alias/release")


# --- NSIB's seal ----------------------------------------------------------------------------------------------------


def sealed_for(uri: str) -> bytes:
    return seal(network_firmware(), ADDRESS, open_signer(uri))


@pytest.mark.parametrize("cloud", ["aws", "google", "azure"])
def test_a_cloud_s_key_seals_for_b0n(cloud: str, aws: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    if cloud == "aws":
        sealed = sealed_for("awskms:alias/release")
    elif cloud == "google":
        with google_kms(aws) as client:
            monkeypatch.setattr(CLIENT, client)
            sealed = sealed_for(f"gcpkms:{GOOGLE_KEY}")
    else:
        use_azure(aws, monkeypatch)
        sealed = sealed_for(AZURE_KEY)
    stranger = generate("ecdsa-p256").public
    assert b0n_takes(sealed, aws.key.public)
    assert not b0n_takes(sealed, stranger)
    assert str(sealed_by(sealed, [stranger, aws.key.public])) == "key 2"


def test_a_cloud_s_key_of_another_type_does_not_seal(aws: KeyStore) -> None:
    aws.key = generate("rsa-2048")
    with pytest.raises(SigningError, match="the key is of type rsa-2048"):
        sealed_for("awskms:alias/release")
    assert aws.asked == ["GetPublicKey alias/release"]  # and nothing was signed
