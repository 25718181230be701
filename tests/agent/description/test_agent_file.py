"""The file of an agent: what it says, and one sentence for everything that it may not say."""

from __future__ import annotations

import json
import sys
import tomllib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.agent.actions.record_files import RecordFiles
from smpdfu.agent.description import file as module
from smpdfu.agent.description.authentication import Authentication, Way
from smpdfu.agent.description.file import (
    AgentFile,
    ArtifactFolder,
    Consent,
    GatewayLimits,
    Listener,
    LogForm,
    UnprovenResult,
)
from smpdfu.agent.description.scan_rule import ScanRule
from smpdfu.agent.report.doctor_files import check_files
from smpdfu.connect import place_of
from smpdfu.dfu.fleet.description.file import FleetDevice, Treatment
from smpdfu.errors import AgentFileError, JournalError
from smpdfu.local.doctor.checks import Level

EXAMPLE = "\n".join(line[4:] for line in (module.__doc__ or "").partition("::\n\n")[2].splitlines())
HEAD = '[agent]\ngateway = "g"\n'
SERVER = '[server]\nurl = "https://h.example"\n'
TOKEN = '[authentication]\ngateway_token_file = "gateway.token"\n'
DEVICE = '[[device]]\nname = "a"\naddress = "udp:10.0.0.1"\n'
LEAST = HEAD + SERVER + TOKEN + DEVICE


def load(folder: Path, text: str, listed: str = "name,address\nroof-2,udp:10.0.0.8\n") -> AgentFile:
    (folder / "devices.csv").write_text(listed, "utf-8")
    path = folder / "AGENT.toml"
    path.write_text(text, "utf-8")
    return AgentFile.load(path, place_of)


def test_the_example_of_the_docstring(tmp_path: Path) -> None:
    file = load(tmp_path, EXAMPLE)
    assert (file.gateway, file.unproven, file.confirmation) == ("building-17", UnprovenResult.SUCCESS, Consent.WAIT)
    assert (str(file.server.address.origin), file.server.address.tenant) == ("https://hawkbit.example.com", "DEFAULT")
    assert file.server.ca == tmp_path / "company-ca.pem"
    assert file.authentication == Authentication(Way.GATEWAY_TOKEN_FILE, str(tmp_path / "gateway.token"))
    assert {name: one.address for name, one in file.devices.items()} == {
        "roof-2": "udp:10.0.0.8",
        "roof-1": "udp:10.0.0.7",
    }
    patterns = {"ble": ("roof-*",), "serial": ("10500*",)}
    assert file.scan == ScanRule(patterns, prefix="building-17-")
    assert (file.limits, file.metrics, file.log) == (GatewayLimits(), Listener("127.0.0.1", 9464), LogForm.TEXT)
    assert (file.treatment.soak_s, file.treatment.health) == (30.0, "./check.sh")
    assert file.trust == (tmp_path / "signing.pub.pem",)
    assert file.artifacts == ArtifactFolder(tmp_path / "artifacts", 1_000_000_000)
    assert file.loaders.of("big").ncs == "2.5"


def test_the_least(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMPDFU_STATE_HOME", str(tmp_path / "state"))
    file = load(tmp_path, LEAST)
    assert file.devices == {"a": FleetDevice("a", "udp:10.0.0.1")}
    assert file.state == tmp_path / "state" / "agents" / "g"
    assert file.artifacts.path == file.state / "artifacts"
    assert (file.scan, file.metrics, file.treatment) == (None, None, Treatment())


def test_sha1_is_allowed_with_keys_alone(tmp_path: Path) -> None:
    text = LEAST + "[artifacts]\nallow_sha1 = true\n[update]\ntrust = ['a.pub.pem']\n"
    file = load(tmp_path, text)
    assert file.artifacts.allow_sha1
    (note,) = (one for one in check_files(file) if one.code == "sha1")
    assert (note.level, "trust" in note.why) == (Level.NOTE, True)
    assert "sha1" not in {one.code for one in check_files(load(tmp_path, LEAST))}


def test_each_disk_of_the_agent_needs_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The records, the journals of the devices, and the packages may be on three disks."""
    monkeypatch.setenv("SMPDFU_STATE_HOME", str(tmp_path / "home"))
    places = [tmp_path / name for name in ("home", "state", "artifacts")]
    for one in places:
        one.mkdir()
    file = load(tmp_path, LEAST.replace(HEAD, HEAD + "state = 'state'\n") + "[artifacts]\nfolder = 'artifacts'\n")
    for full in places:
        free = {one: 0 if one == full else 1 << 40 for one in places}
        (error,) = (one for one in check_files(file, free.__getitem__) if one.level is Level.ERROR)
        assert (error.code, str(full) in error.what) == ("space", True)
    assert {one.level for one in check_files(file, lambda _: 1 << 40)} == {Level.OK}


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_a_folder_that_is_a_link_to_nothing_cannot_be_used(tmp_path: Path) -> None:
    """As of a disk that is not mounted."""
    (tmp_path / "state").symlink_to(tmp_path / "disk" / "state")
    file = load(tmp_path, LEAST.replace(HEAD, HEAD + "state = 'state'\n"))
    assert "folder" in {one.code for one in check_files(file) if one.level is Level.ERROR}
    says = "a symbolic link to a folder that is not there"
    with pytest.raises(JournalError, match=says), RecordFiles(file.state).locked():
        pass


def test_a_search_alone_is_enough(tmp_path: Path) -> None:
    assert load(tmp_path, HEAD + SERVER + TOKEN + '[scan]\nble = ["roof-*"]\n').devices == {}


LONG = "x" * 257


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[agent", "not valid TOML"),
        (LEAST + "[agnt]\n", "unknown table 'agnt'; known are agent, server"),
        (SERVER + TOKEN + DEVICE, r"\[agent\] of AGENT.toml has no gateway: give this gateway a name that no other"),
        ('[agent]\ngateway = "a/b"\n' + SERVER + TOKEN + DEVICE, "'gateway' in .* must have 1 to 64 letters"),
        ('[agent]\ngateway = ".."\n' + SERVER + TOKEN + DEVICE, "'gateway' in .* must have 1 to 64 letters"),
        (HEAD + "unproven = 'continue'\n" + SERVER + TOKEN + DEVICE, "must be one of success, failure"),
        (HEAD + "confirmation = 'ask'\n" + SERVER + TOKEN + DEVICE, "must be one of wait, confirm, deny"),
        (HEAD + "at_once = 3\n" + SERVER + TOKEN + DEVICE, "unknown key 'at_once'"),
        (HEAD + TOKEN + DEVICE, r"\[server\] of AGENT.toml has no url"),
        (HEAD + SERVER + DEVICE, "has none of gateway_token_file"),
        (HEAD + SERVER + TOKEN + "target_tokens = 'x'\n" + DEVICE, "has more than one of"),
        (HEAD + SERVER + TOKEN + "token = 'SECRET'\n" + DEVICE, "must not be in this file. Write it into a file"),
        (HEAD + SERVER + "[authentication]\ngateway_token = 'SECRET'\n" + DEVICE, "must not be in this file"),
        (HEAD + SERVER + "[authentication]\npassword = 'SECRET'\n" + DEVICE, "must not be in this file"),
        (HEAD + SERVER + "[authentication]\ncertificate = 'c.pem'\n" + DEVICE, "'certificate' and 'key' belong"),
        (HEAD + SERVER + TOKEN + "key = 'k.pem'\n" + DEVICE, "'certificate' and 'key' belong together"),
        (HEAD + SERVER + TOKEN, "AGENT.toml has no devices: add a"),
        (LEAST + "[[device]]\nname = 'a'\naddress = 'udp:10.0.0.2'\n", "two devices are named 'a'"),
        (LEAST + "[[device]]\nname = 'b'\naddress = 'udp:10.0.0.1:1337'\n", "'a' and 'b' have the same address"),
        (LEAST + "[[device]]\nname = 'b'\naddress = 'tcp:10.0.0.1'\n", "the device 'b' of AGENT.toml: 'tcp:10.0.0.1'"),
        (LEAST + f"[[device]]\nname = '{LONG}'\naddress = 'udp:10.0.0.2'\n", "at most 256 characters"),
        (LEAST + '[[device]]\nname = "a\\u001b[2J"\naddress = "udp:10.0.0.2"\n', "must be printable"),
        (LEAST + "[[device]]\nname = ' b'\naddress = 'udp:10.0.0.2'\n", "without spaces at its ends"),
        (LEAST + "[scan]\n", "names no devices: give patterns of names with ble, serial, virtual"),
        (LEAST + "[scan]\nble = 'roof-*'\n", "'ble' in .scan. of AGENT.toml must be a list of texts"),
        (LEAST + "[scan]\nble = ['*']\nevery_s = 5\n", "'every_s' in .* must be larger than 0 and not less"),
        (LEAST + "[scan]\nble = ['*']\nlisten_s = 1e6\n", "'listen_s' in .* must be a number from 0 to 600"),
        (LEAST + "[limits]\nat_once = 0\n", "'at_once' in .limits. of AGENT.toml must be a whole number of at least 1"),
        (LEAST + "[artifacts]\nmax_bytes = 0\n", "'max_bytes'"),
        (LEAST + "[artifacts]\nallow_sha1 = 1\n", "'allow_sha1' in .artifacts. of AGENT.toml must be true or false"),
        (LEAST + "[artifacts]\nallow_sha1 = true\n", "'allow_sha1' in .artifacts. .* needs 'trust' in .update."),
        (LEAST + "[artifacts]\nallow_sha1 = true\n[update]\ntrust = []\n", "needs 'trust' in .update."),
        (LEAST + "[metrics]\nlisten = '9464'\n", "must be HOST:PORT, such as 127.0.0.1:9464"),
        (LEAST + "[metrics]\nlisten = '127.0.0.1:0'\n", "must be HOST:PORT"),
        (LEAST + "[metrics]\nlisten = '127.0.0.1:65536'\n", "must be HOST:PORT"),
        (LEAST + "[log]\nform = 'xml'\n", "must be one of text, json"),
        (LEAST + "[update]\ntimeout_s = 0\n", "'timeout_s' in .update. of AGENT.toml is 0"),
        (LEAST + "[update]\npolicy = 'upload-only'\n", "no device would run what it gets.*Leave it out"),
        (LEAST + "[hardware]\nbig = 3\n", "hardware.big. of AGENT.toml is not a table"),
        ("agent = 3\n" + SERVER + TOKEN + DEVICE, ".agent. of AGENT.toml is not a table"),
    ],
)
def test_what_may_not_be_said(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(AgentFileError, match=says) as caught:
        load(tmp_path, text)
    assert "SECRET" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://hawkbit.example.com", "begins with http: everybody on the way can read the token"),
        ("http://127.0.0.1.example.com", "begins with http"),
        ("https://user:pw@h.example", "has a user name or a password"),
        ("ftp://h.example", "is not an address such as https"),
        ("https://", "is not an address such as https"),
        ("h.example", "is not an address such as https"),
        ("https://h.example:99999", "is not an address such as"),
        ("https://h.example/?tenant=x", "must end with its path"),
        ("https://h.example/#top", "is not an address such as"),
        ("https://[::1", "is not an address such as"),
        ("https://h.example/\\u0007", "is not an address such as"),
    ],
)
def test_a_server_that_may_not_be(url: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(AgentFileError, match=says):
        load(tmp_path, LEAST.replace("https://h.example", url))


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:8080", "http://127.8.8.8"])
def test_http_to_this_computer(url: str, tmp_path: Path) -> None:
    assert load(tmp_path, LEAST.replace("https://h.example", url)).server.address.url.startswith(url)


def test_http_elsewhere_only_if_the_file_says_so(tmp_path: Path) -> None:
    url = "http://h.example/behind/a/proxy/"
    text = LEAST.replace(SERVER, f'[server]\nurl = "{url}"\ninsecure_http = true\n')
    assert load(tmp_path, text).server.address.url == "http://h.example/behind/a/proxy"


def test_metrics_on_ipv6(tmp_path: Path) -> None:
    assert load(tmp_path, LEAST + '[metrics]\nlisten = "[::1]:9464"\n').metrics == Listener("::1", 9464)


# --- whatever is in it, there is one sentence -----------------------------------------------------------------------

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 70000) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_WHOLE = tomllib.loads(EXAMPLE)
_KEYS = [(table, key) for table, keys in _WHOLE.items() if isinstance(keys, dict) for key in keys]


def as_toml(value: object) -> str:
    """A value in TOML; what it cannot have (None) becomes a text."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {as_toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return json.dumps(str(value)).replace("\x7f", "\\u007f")


@given(place=st.sampled_from(_KEYS), value=_VALUES)
def test_any_value_of_any_key(place: tuple[str, str], value: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    table, key = place
    changed = {name: dict(keys) if isinstance(keys, dict) else keys for name, keys in _WHOLE.items()}
    changed[table][key] = value
    text = "".join(f"{json.dumps(name)} = {as_toml(keys)}\n" for name, keys in changed.items())
    folder = tmp_path_factory.getbasetemp()
    try:
        tomllib.loads(text)
    except ValueError:
        return  # a lone surrogate: no file can have it
    with suppress(AgentFileError, OSError):  # and no other error; OSError: of the list of devices
        load(folder, text)


@given(content=st.binary(max_size=300))
def test_any_bytes(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "AGENT.toml"
    path.write_bytes(content)
    with pytest.raises(AgentFileError):
        AgentFile.load(path)


def test_a_file_with_too_many_keys_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(AgentFileError, match="more keys than"):
        load(tmp_path, "[update]\n" + "".join(f"a{number} = 1\n" for number in range(30_000)))
