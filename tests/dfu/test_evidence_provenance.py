"""The provenance of a package: verified by other people's code, and each changed byte of anything is noticed."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

from smpdfu.dfu.evidence.attested import Attested
from smpdfu.dfu.evidence.builder import LOCAL, Builder, find_builder
from smpdfu.dfu.evidence.checks import check_evidence
from smpdfu.dfu.evidence.envelope import SCHEMES, open_envelope, seal_payload
from smpdfu.dfu.evidence.release import PackageFile, Release, make_provenance, make_sbom
from smpdfu.dfu.evidence.statement import read_statement
from smpdfu.dfu.package.images import PackageImage
from smpdfu.dfu.package.package import Package, new_package
from smpdfu.errors import EvidenceError, SigningError, SmpdfuError
from smpdfu.image.format import Version
from smpdfu.image.keys.keys import PrivateKey, generate
from smpdfu.image.signing.build import ImageSpec, build

KEYS = {kind: generate(kind) for kind in SCHEMES}
KEY = KEYS["ecdsa-p256"]
SMALL = b'{"a":1}'


def image(name: str, byte: int) -> PackageImage:
    spec = ImageSpec(Version(1, 2, byte), header_size=0x200, slot_size=0x20000, pad_header=True)
    made = build(spec, bytes([byte]) * 64, KEY)
    index = {"app_update.bin": 0, "net_core_update.bin": 1}[name]
    return PackageImage.from_bytes(made.to_bytes(), name, {"image_index": str(index), "file": name})


@cache
def package() -> Package:
    return new_package([(image("app_update.bin", 1), 0xC200), (image("net_core_update.bin", 2), 0x0100_8800)])


@cache
def release() -> Release:
    return Release((PackageFile(package(), package().to_bytes()),), parameters={"version": "1.2.3", "release": True})


def written(folder: Path, envelope: bytes, data: bytes | None = None) -> tuple[Path, Path]:
    places = folder / "dfu_application.zip", folder / "p.intoto.json"
    places[0].write_bytes(release().packages[0].data if data is None else data)
    places[1].write_bytes(envelope)
    return places


@cache
def envelope() -> bytes:
    return make_provenance(release(), KEY, builder=Builder())


def changed(change: Callable[[dict[str, Any]], object], key: PrivateKey = KEY) -> bytes:
    """An envelope of the statement with a change, signed with the right key."""
    statement = json.loads(b64decode(json.loads(envelope())["payload"]))
    change(statement)
    return seal_payload(json.dumps(statement).encode(), key)


# --- by other people's code -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SCHEMES)
def test_securesystemslib_and_in_toto_accept_it(kind: str, tmp_path: Path) -> None:
    data = make_provenance(release(), KEYS[kind], builder=Builder())
    found = Envelope.from_dict(json.loads(data))
    key = SSlibKey.from_crypto(KEYS[kind].public.raw, scheme=SCHEMES[kind])
    assert found.verify([key], 1) == {key.keyid: key}
    assert found.payload_type == "application/vnd.in-toto+json"
    statement = Statement([], "", {})
    ParseDict(json.loads(found.payload), statement.pb)
    statement.validate()
    assert statement.pb.predicate_type == "https://slsa.dev/provenance/v1"
    predicate = ParseDict(json.loads(found.payload)["predicate"], Provenance())
    assert predicate.run_details.builder.id == LOCAL
    zipped, place = written(tmp_path, data)
    assert check_evidence(zipped, provenance=place, keys=[KEY.public, KEYS[kind].public]).key == KEYS[kind].public


def test_the_same_release_gives_the_same_bytes() -> None:
    assert envelope() == make_provenance(release(), KEY, builder=Builder())


def test_each_file_is_a_subject(tmp_path: Path) -> None:
    sbom = make_sbom(release())
    data = make_provenance(release(), KEY, sbom=("s.cdx.json", sbom), builder=Builder("https://ci", "run 7"))
    zipped, place = written(tmp_path, data)
    (tmp_path / "s.cdx.json").write_bytes(sbom)
    found = check_evidence(zipped, provenance=place, keys=[KEY.public], sbom=tmp_path / "s.cdx.json")
    assert found.attested is not None
    assert [(one.kind, one.name) for one in found.attested.subjects] == [
        ("package", "dfu_application.zip"),
        ("image", "app_update.bin"),
        ("image", "net_core_update.bin"),
        ("sbom", "s.cdx.json"),
    ]
    assert (found.attested.builder, found.attested.invocation) == ("https://ci", "run 7")
    assert found.attested.predicate["buildDefinition"]["externalParameters"] == {"version": "1.2.3", "release": True}
    assert found.sbom_attested is True


# --- changed --------------------------------------------------------------------------------------------------------


def test_each_bit_of_a_small_envelope() -> None:
    data = seal_payload(SMALL, KEY)
    assert open_envelope(data, [KEY.public]) == (SMALL, KEY.public)
    for at in range(len(data)):
        for bit in range(8):
            other = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
            with pytest.raises((EvidenceError, SigningError)):
                open_envelope(other, [KEY.public])


def test_each_byte_of_a_package(tmp_path: Path) -> None:
    data = release().packages[0].data
    for at in range(0, len(data), 7):
        zipped, place = written(tmp_path, envelope(), data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(EvidenceError) as caught:
            check_evidence(zipped, provenance=place, keys=[KEY.public])
        assert caught.value.code == "package-digest"


def test_another_key_and_no_key(tmp_path: Path) -> None:
    zipped, place = written(tmp_path, envelope())
    with pytest.raises(SigningError, match="no given key has signed the provenance"):
        check_evidence(zipped, provenance=place, keys=[generate("ecdsa-p256").public])
    with pytest.raises(ValueError, match="at least one key"):
        check_evidence(zipped, provenance=place)


def drop(number: int) -> Callable[[dict[str, Any]], object]:
    return lambda statement: statement["subject"].pop(number)


def put(number: int, **values: object) -> Callable[[dict[str, Any]], object]:
    return lambda statement: statement["subject"][number].update(values)


def extra(**values: object) -> Callable[[dict[str, Any]], object]:
    notes = {"smpdfu:kind": "image", "smpdfu:package": "dfu_application.zip"}
    more = {"name": "more.bin", "digest": {"sha256": "0" * 64}, "annotations": notes} | values
    return lambda statement: statement["subject"].append(more)


WRONG: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no package": (drop(0), "attests no file"),
    "the package as an image": (put(0, annotations={"smpdfu:kind": "image"}), "attests no file"),
    "missing image": (drop(2), "it does not attest net_core_update.bin"),
    "other image": (put(1, digest={"sha256": "0" * 64}), "it attests another app_update.bin"),
    "additional image": (extra(), "it attests more.bin, which the package does not have"),
    "additional file without notes": (extra(annotations={}), "it attests more.bin"),
    "other digest": (put(1, digest={"sha512": "0" * 128}), "a subject has no name, or no SHA-256"),
    "upper case": (put(1, digest={"sha256": "A" * 64}), "no SHA-256"),
    "one name twice": (extra(name="app_update.bin"), "two subjects have the same name"),
    "no subject": (lambda statement: statement["subject"].clear(), "At least one subject"),
    "other type": (lambda statement: statement.update(_type="https://in-toto.io/Statement/v0.1"), "statement type"),
    "no type": (lambda statement: statement.pop("_type"), "statement type"),
    "other predicate": (lambda statement: statement.update(predicateType="https://spdx.dev/Document"), "predicate is"),
    "no predicate": (lambda statement: statement.pop("predicate"), "Predicate object required"),
    "no builder": (lambda statement: statement["predicate"]["runDetails"].pop("builder"), "no builder"),
    "unknown field": (lambda statement: statement.update(more=1), "more"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_signed_statement_that_does_not_fit(name: str, tmp_path: Path) -> None:
    change, sentence = WRONG[name]
    zipped, place = written(tmp_path, changed(change))
    with pytest.raises(EvidenceError) as caught:
        check_evidence(zipped, provenance=place, keys=[KEY.public])
    assert sentence in str(caught.value)


def test_images_of_another_package_are_not_missed(tmp_path: Path) -> None:
    """One provenance is for all packages of a release."""
    notes = {"smpdfu:kind": "image", "smpdfu:package": "dfu_mcuboot.zip"}
    zipped, place = written(tmp_path, changed(extra(annotations=notes)))
    check_evidence(zipped, provenance=place, keys=[KEY.public])


def test_a_statement_of_another_writer(tmp_path: Path) -> None:
    def without_notes(statement: dict[str, Any]) -> None:
        for one in statement["subject"]:
            del one["annotations"]
        statement["predicate"]["buildDefinition"]["buildType"] = "https://example.com/other"

    zipped, place = written(tmp_path, changed(without_notes))
    found = check_evidence(zipped, provenance=place, keys=[KEY.public])
    assert isinstance(found.attested, Attested)
    assert found.attested.build_type == "https://example.com/other"


def test_another_payload_type() -> None:
    other = Envelope(SMALL, "text/plain", {})
    signed = json.loads(seal_payload(SMALL, KEY)) | {"payloadType": "text/plain"}
    signed["signatures"][0]["sig"] = b64encode(KEY.sign(other.pae())).decode()
    with pytest.raises(EvidenceError, match="of the type 'text/plain'"):
        open_envelope(json.dumps(signed).encode(), [KEY.public])


# --- hostile --------------------------------------------------------------------------------------------------------

HOSTILE = {
    "empty": b"",
    "no JSON": b"hello",
    "list": b"[]",
    "key twice": envelope().replace(b'{"payload":', b'{"payload":"AA==","payload":', 1),
    "more keys": envelope().replace(b'{"payload":', b'{"more":1,"payload":', 1),
    "no signatures": b'{"payload":"AA==","payloadType":"x","signatures":[]}',
    "many signatures": json.dumps(
        {"payload": "AA==", "payloadType": "x", "signatures": [{"keyid": str(n), "sig": "AA=="} for n in range(99)]}
    ).encode(),
    "deep": b'{"payload":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "long number": b'{"payload":' + b"9" * 100_000 + b"}",
    "large number": b'{"payload":1e999}',
    "not a number": b'{"payload":NaN}',
    "no UTF-8": b'{"payload":"\xff"}',
    "base64 with other bits": envelope().replace(b'"}],', b'"}], ').replace(b'"payload":"', b'"payload":"A', 1),
    "too large": b" " * (9 << 20),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_envelope_is_one_sentence(name: str) -> None:
    with pytest.raises((EvidenceError, SigningError)) as caught:
        open_envelope(HOSTILE[name], [KEY.public])
    assert len(str(caught.value)) < 300


LEAVES = st.none() | st.text(max_size=20) | st.integers()


@given(st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner)))
def test_any_json_as_a_statement_is_refused(value: object) -> None:
    for payload in (value, {"_type": "https://in-toto.io/Statement/v1", "predicate": value, "subject": value}):
        with pytest.raises(EvidenceError):
            read_statement(json.dumps(payload).encode())


@given(st.binary(max_size=300))
def test_garbage_as_an_envelope_is_refused(data: bytes) -> None:
    with pytest.raises(SmpdfuError):
        open_envelope(data, [KEY.public])


# --- who made it ----------------------------------------------------------------------------------------------------

GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "acme/meter",
    "GITHUB_WORKFLOW_REF": "acme/meter/.github/workflows/release.yml@refs/tags/v1",
    "GITHUB_RUN_ID": "77",
    "GITHUB_RUN_ATTEMPT": "2",
    "GITHUB_REF": "refs/tags/v1",
    "GITHUB_SHA": "a" * 40,
    "GITHUB_TOKEN": "ghs_secret",
}
GITLAB = {
    "GITLAB_CI": "true",
    "CI_PROJECT_URL": "https://gitlab.com/acme/meter",
    "CI_RUNNER_ID": "12",
    "CI_JOB_URL": "https://gitlab.com/acme/meter/-/jobs/9",
    "CI_COMMIT_SHA": "b" * 40,
    "CI_COMMIT_REF_NAME": "v1",
    "CI_JOB_TOKEN": "secret",
}


def test_a_job_of_github() -> None:
    found = find_builder(GITHUB)
    assert found.id == "https://github.com/acme/meter/.github/workflows/release.yml@refs/tags/v1"
    assert found.invocation == "https://github.com/acme/meter/actions/runs/77/attempts/2"
    assert found.source == ("git+https://github.com/acme/meter@refs/tags/v1", "a" * 40)
    assert "secret" not in str(found)
    assert find_builder(GITHUB, "https://mine").id == "https://mine"


def test_a_job_of_gitlab() -> None:
    found = find_builder(GITLAB)
    assert found.id == "https://gitlab.com/acme/meter/-/runners/12"
    assert found.invocation == "https://gitlab.com/acme/meter/-/jobs/9"
    assert found.source == ("git+https://gitlab.com/acme/meter@v1", "b" * 40)
    assert "secret" not in str(found)


def test_no_job_and_variables_that_are_no_text() -> None:
    assert find_builder({}) == Builder(LOCAL)
    odd = find_builder(GITHUB | {"GITHUB_REF": "a\nb", "GITHUB_SHA": "main", "GITHUB_WORKFLOW_REF": "x" * 5000})
    assert (odd.id, odd.source) == (LOCAL, None)
