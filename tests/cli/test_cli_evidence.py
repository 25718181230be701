"""``package --sbom --provenance`` and ``verify`` of both: of builds, with keys in each place where a key can be."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from smpdfu.image.keys.keys import PrivateKey, generate, load_private
from tests.build_folders import STAGED, copy_of
from tests.vectors.make_build_folders import signing_key
from tests.vectors.make_spdx import write

if TYPE_CHECKING:
    from tests.cli.conftest import Call
    from tests.soft_token import SoftToken
else:
    Call = Any

KEY = signing_key(STAGED)


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build folder with what ``west spdx`` wrote, in the current folder."""
    for name in ("SOURCE_DATE_EPOCH", "GITHUB_ACTIONS", "GITLAB_CI"):
        monkeypatch.delenv(name, raising=False)
    folder = copy_of(STAGED, tmp_path / "build")
    write(folder / "smp_app" / "spdx")
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def key(tmp_path: Path) -> PrivateKey:
    """The key of the provenance, as prov.pem and prov.pub.pem."""
    made = generate("ecdsa-p256")
    (tmp_path / "prov.pem").write_bytes(made.to_private_pem())
    (tmp_path / "prov.pub.pem").write_bytes(made.to_pem())
    return made


BOTH = ("--sbom", "s.cdx.json", "--provenance", "p.json", "--provenance-key")
PACKAGE = Path("build/smpdfu/dfu_application.zip")
CHECK = ("verify", PACKAGE, "--provenance", "p.json", "--provenance-key")


@pytest.mark.usefixtures("build")
def test_the_key_of_the_provenance_has_its_own_passphrase(
    smpdfu: Call, key: PrivateKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The passphrase of -k stays the default."""
    (tmp_path / "sign.pem").write_bytes(load_private(KEY.read_bytes()).to_private_pem(b"of sign"))
    (tmp_path / "prov.pem").write_bytes(key.to_private_pem(b"of prov"))
    (tmp_path / "pin").write_text("of prov\n")
    monkeypatch.setenv("PIN", "of sign")
    words = ("package", "build", "-k", "sign.pem", "--passphrase-env", "PIN", *BOTH, "prov.pem")
    assert smpdfu(*words).code == 3
    assert smpdfu(*words, "--provenance-passphrase-file", "pin").code == 0
    assert smpdfu(*CHECK, "prov.pub.pem").code == 0
    monkeypatch.setenv("PROV", "of prov")
    assert smpdfu(*words, "--provenance-passphrase-env", "PROV").code == 0
    both = ("--provenance-passphrase-env", "PROV", "--provenance-passphrase-file", "pin")
    assert smpdfu(*words, *both).code == 2


def test_a_provenance_by_a_public_key_is_not_for_a_release(smpdfu: Call, build: Path, key: PrivateKey) -> None:
    public = Path(__file__).parents[2] / "keys"
    words = ("package", "build", "-k", "prov.pem", "--nsib-key", "prov.pem", *BOTH, public / "dev-sign-p256.pem")
    refused = smpdfu(*words, "--release").refused()
    assert "the provenance is signed with smpdfu's development key dev-sign-p256" in refused
    assert "so it cannot be released" in refused
    assert not Path("p.json").exists()
    made = smpdfu(*words, "--json")
    assert (made.code, sum("the provenance is signed with" in one for one in made.document["warnings"])) == (0, 1)
    check = (*CHECK, public / "dev-sign-p256.pub.pem", "-k", "prov.pub.pem")
    assert "the provenance is signed with" in smpdfu(*check).err
    assert "so it cannot be released" in smpdfu(*check, "--release").refused()


def statement(file: Path) -> Any:
    return json.loads(b64decode(json.loads(file.read_bytes())["payload"]))


def test_a_build_folder(smpdfu: Call, build: Path, key: PrivateKey) -> None:
    done = smpdfu("package", build, "-k", KEY, *BOTH, "prov.pem", "--name", "meter", "--json")
    assert done.code == 0, done.err
    assert (done.document["sbom"], done.document["provenance"]) == ("s.cdx.json", "p.json")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(Path("s.cdx.json").read_text("utf-8")) is None
    app = next(one for one in json.loads(Path("s.cdx.json").read_text("utf-8"))["components"] if one.get("components"))
    assert app["name"] == "smp_app.signed.bin"
    assert "cpe:2.3:a:arm:mbed_tls:3.6.2:*:*:*:*:*:*:*" in {one.get("cpe") for one in app["components"]}
    checked = smpdfu(*CHECK, "prov.pub.pem", "--sbom", "s.cdx.json", "--json")
    assert checked.code == 0, checked.err
    said = checked.document
    assert (said["verdict"], said["provenance"]["key"]) == ("not checked", key.keyhash.hex()), "no key of MCUboot"
    assert said["sbom"] == {"file": "s.cdx.json", "components": 8, "attested": True}
    assert {one["hash"] for one in said["images"]} == {one["hash"] for one in done.document["images"]}
    assert "p.json is of this package" in smpdfu(*CHECK, "prov.pub.pem").out


def test_what_a_provenance_tells_and_what_it_does_not(
    smpdfu: Call, build: Path, key: PrivateKey, tmp_path: Path
) -> None:
    (tmp_path / "pw").write_text("secret-4711\n", "utf-8")
    words = (*BOTH, "prov.pem", "--passphrase-file", "pw", "--version", "2.0.0", "--release")
    assert smpdfu("package", build, "-k", tmp_path / "own.pem", *words).code == 3  # no such key: nothing is written
    assert not Path("p.json").exists()
    (tmp_path / "own.pem").write_bytes(generate("ecdsa-p256").to_private_pem())
    done = smpdfu("package", build, "-k", tmp_path / "own.pem", *words[:-1])
    assert done.code == 0, done.err
    found = statement(Path("p.json"))["predicate"]["buildDefinition"]
    assert found["externalParameters"] == {"version": "2.0.0"}
    names = {one["name"] for one in found["resolvedDependencies"]}
    assert {"smp_app/zephyr/zephyr.hex", "smp_app/zephyr/.config", "smp_app/spdx/zephyr.spdx"} <= names
    assert "smp_app/zephyr/zephyr.signed.bin" not in names  # it was signed again
    text = json.dumps(found)
    assert str(tmp_path) not in text
    assert "secret-4711" not in text


def test_the_same_build_gives_the_same_documents(
    smpdfu: Call, build: Path, key: PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    seen = set()
    for _ in range(2):
        assert smpdfu("package", build, *BOTH, "prov.pem").code == 0  # the build's own signed images
        seen.add((Path("s.cdx.json").read_bytes(), Path("p.json").read_bytes()))
    assert len(seen) == 1
    assert json.loads(Path("s.cdx.json").read_bytes())["metadata"]["timestamp"] == "2023-11-14T22:13:20+00:00"
    names = {one["name"] for one in statement(Path("p.json"))["predicate"]["buildDefinition"]["resolvedDependencies"]}
    assert "smp_app/zephyr/zephyr.signed.bin" in names


def test_in_a_job_of_github(smpdfu: Call, build: Path, key: PrivateKey, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_SERVER_URL", "https://github.com"),
        ("GITHUB_REPOSITORY", "acme/meter"),
        ("GITHUB_WORKFLOW_REF", "acme/meter/.github/workflows/r.yml@refs/heads/main"),
        ("GITHUB_SHA", "c" * 40),
    ):
        monkeypatch.setenv(name, value)
    assert smpdfu("package", build, *BOTH, "prov.pem").code == 0
    predicate = statement(Path("p.json"))["predicate"]
    assert predicate["runDetails"]["builder"]["id"].endswith("acme/meter/.github/workflows/r.yml@refs/heads/main")
    assert {"name": "source", "uri": "git+https://github.com/acme/meter", "digest": {"gitCommit": "c" * 40}} in (
        predicate["buildDefinition"]["resolvedDependencies"]
    )
    assert smpdfu("package", build, *BOTH, "prov.pem", "--builder-id", "https://me").code == 0
    assert statement(Path("p.json"))["predicate"]["runDetails"]["builder"]["id"] == "https://me"


# --- keys -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048"])
def test_keys_in_a_token(smpdfu: Call, build: Path, soft_token: SoftToken, kind: str, tmp_path: Path) -> None:
    done = smpdfu("package", build, *BOTH, soft_token.uri(kind))
    assert done.code == 0, done.err
    public = soft_token.public_file(kind, tmp_path)
    assert smpdfu(*CHECK, public).code == 0
    assert smpdfu(*CHECK, soft_token.uri(kind)).code == 0


def test_a_key_in_a_variable(smpdfu: Call, build: Path, key: PrivateKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROV_KEY", key.to_private_pem().decode())
    assert smpdfu("package", build, *BOTH, "env:PROV_KEY").code == 0
    assert smpdfu(*CHECK, "prov.pub.pem").code == 0


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_key_behind_a_program(smpdfu: Call, build: Path, key: PrivateKey) -> None:
    uri = "cmd:openssl pkeyutl -sign -inkey prov.pem -pkeyopt digest:sha256?pub=prov.pub.pem"
    done = smpdfu("package", build, *BOTH, uri)
    assert done.code == 0, done.err
    assert smpdfu(*CHECK, "prov.pub.pem").code == 0


def test_a_program_that_signs_something_else(smpdfu: Call, build: Path, key: PrivateKey) -> None:
    uri = f"cmd:{sys.executable} -c 'print(1)'?pub=prov.pub.pem"
    sentence = smpdfu("package", build, *BOTH, uri).refused()
    assert "not a signature" in sentence
    assert not PACKAGE.exists()  # nothing without its evidence
    assert not Path("s.cdx.json").exists()


# --- refused --------------------------------------------------------------------------------------------------------


def test_documents_of_another_package(smpdfu: Call, build: Path, key: PrivateKey, tmp_path: Path) -> None:
    other = smpdfu("package", build, "-k", KEY, "--version", "9.0.0", "-o", "other", "--sbom", "o.cdx.json")
    assert other.code == 0, other.err
    assert smpdfu("package", build, "-k", KEY, *BOTH, "prov.pem").code == 0
    zipped = tmp_path / "other" / "dfu_application.zip"
    check = ("verify", zipped, "--provenance", "p.json", "--provenance-key", "prov.pub.pem")
    assert "the provenance does not belong to this package" in smpdfu(*check).refused()
    assert "the SBOM does not belong to this package" in smpdfu("verify", zipped, "--sbom", "s.cdx.json").refused()
    alone = smpdfu("verify", zipped, "--sbom", "o.cdx.json")
    assert alone.code == 0
    assert "no signature covers it" in alone.err


def test_an_sbom_that_was_edited(smpdfu: Call, build: Path, key: PrivateKey) -> None:
    assert smpdfu("package", build, "-k", KEY, *BOTH, "prov.pem").code == 0
    edited = json.loads(Path("s.cdx.json").read_bytes())
    edited["metadata"]["component"]["name"] = "other"
    Path("edited.json").write_text(json.dumps(edited), "utf-8")
    assert "attests another SBOM" in smpdfu(*CHECK, "prov.pub.pem", "--sbom", "edited.json").refused()


def test_the_keys_of_the_bootloader_count_too(smpdfu: Call, build: Path, key: PrivateKey) -> None:
    assert smpdfu("package", build, "-k", KEY, *BOTH, "prov.pem").code == 0
    assert smpdfu(*CHECK, "prov.pub.pem", "-k", KEY).code == 0
    assert "would be refused" in smpdfu(*CHECK, "prov.pub.pem", "-k", "prov.pub.pem").refused()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("package", "build", "--provenance", "p.json"), "go together"),
        (("package", "build", "--provenance-key", "prov.pem"), "go together"),
        (("package", "build", "--provenance-passphrase-env", "X"), "need --provenance-key"),
        (("package", "build", "--builder-id", "x"), "--builder-id is for --provenance"),
        (("package", "build", *BOTH[:2], "--provenance", "s.cdx.json", "--provenance-key", "k"), "the same file"),
        (("verify", PACKAGE, "--provenance", "p.json"), "go together"),
        (("verify", PACKAGE, "--provenance-key", "prov.pem"), "go together"),
        (("verify", PACKAGE, "--sbom", "s.cdx.json", "--slot-size", "0x1000"), "are for a single image"),
    ],
)
def test_options_that_do_not_go_together(smpdfu: Call, build: Path, words: tuple[object, ...], sentence: str) -> None:
    assert sentence in smpdfu(*words).refused(2)


def test_a_plan_writes_nothing(smpdfu: Call, build: Path, key: PrivateKey) -> None:
    assert smpdfu("package", build, *BOTH, "prov.pem", "--plan").code == 0
    assert not Path("p.json").exists()


def test_an_input_is_not_replaced(smpdfu: Call, build: Path, key: PrivateKey) -> None:
    sentence = smpdfu("package", build, "--sbom", "prov.pem").refused()
    assert "holds a private key" in sentence


def test_without_the_extra(build: Path, key: PrivateKey) -> None:
    """One sentence, and everything else works."""
    program = (
        "import sys; sys.modules['cyclonedx'] = None; sys.modules['in_toto_attestation'] = None\n"
        "sys.argv[0] = 'smpdfu'\nfrom smpdfu.__main__ import main\nmain()"
    )

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True)

    done = run("package", "build", "--sbom", "s.cdx.json")
    assert done.returncode == 3
    assert "an SBOM needs the package cyclonedx" in done.stderr
    assert "pip install 'smpdfu[evidence]'" in done.stderr
    done = run("package", "build", "--provenance", "p.json", "--provenance-key", "prov.pem")
    assert (done.returncode, "smpdfu[evidence]" in done.stderr) == (3, True)
    assert run("package", "build").returncode == 0


@pytest.mark.parametrize(
    ("sbom", "provenance"),
    [
        ("out/dfu_application.zip", "p.json"),
        ("s.json", "./out/../out/ipc_radio.bin"),
        ("s.json", "out/../s.json"),
        ("s.json", "linked/s.json"),
    ],
)
def test_two_outputs_in_one_file_are_refused(
    smpdfu: Call, build: Path, key: PrivateKey, tmp_path: Path, sbom: str, provenance: str
) -> None:
    """One of them would be lost: the package itself, too."""
    (tmp_path / "linked").symlink_to(tmp_path)
    documents = ("--sbom", sbom, "--provenance", provenance, "--provenance-key", "prov.pem")
    done = smpdfu("package", build, "-k", KEY, "-o", "out", *documents)
    assert done.code == 3
    assert "two outputs of this command would be in the same file" in done.err
    assert not Path("out").exists()
