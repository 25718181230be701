"""``smpdfu publish`` as people and pipelines type it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from smpdfu.agent.management.publish import watch_rollout
from smpdfu.cli.agent import publish as command
from smpdfu.image.keys.keys import PrivateKey, load_key
from tests.agent.publish.publish_devices import close_actions
from tests.agent.publish.publish_packages import maker, package_file
from tests.agent.servers.management import HawkbitServer
from tests.agent.servers.stand_in.faults import Fault
from tests.agent.servers.stand_in.serve import StandIn
from tests.cli.conftest import Call, Outcome, smpdfu
from tests.conftest import ROOT
from tests.dfu.conftest import Maker

__all__ = ["smpdfu"]
PASSWORD = "SMPDFU_TEST_PASSWORD"


@pytest.fixture(scope="module")
def make() -> Maker:
    return maker()


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch, standing: StandIn) -> tuple[str, ...]:
    """The options that lead to the stand-in."""
    monkeypatch.setenv(PASSWORD, "admin")
    return ("--server", standing.url, "--user", "admin", "--password-env", PASSWORD)


def document(done: Outcome) -> dict[str, object]:
    assert done.code == 0, done
    found = json.loads(done.out)
    assert isinstance(found, dict)
    return found


def test_a_package_is_published_and_found_again(
    smpdfu: Call, login: tuple[str, ...], standing: StandIn, tmp_path: Path, make: Maker
) -> None:
    path = package_file(tmp_path, make, name="roof")
    first = smpdfu("publish", path, *login)
    assert first.code == 0, first
    assert "roof 1.2.3+4: published" in first.out
    second = document(smpdfu("publish", path, *login, "--json"))
    assert second["modules"] == [
        {
            "id": 1,
            "name": "roof",
            "version": "1.2.3+4",
            "hardware": "",
            "file": "dfu_application.zip",
            "sha256": next(iter(standing.repository.modules[1].artifacts.values())).hashes["sha256"],
            "existed": True,
        }
    ]
    assert second["distribution_set"] == {"id": 3, "name": "roof", "version": "1.2.3+4", "existed": True}


def test_another_content_is_refused_with_what_to_do(
    smpdfu: Call, login: tuple[str, ...], tmp_path: Path, make: Maker
) -> None:
    assert smpdfu("publish", package_file(tmp_path / "1", make, name="roof"), *login).code == 0
    done = smpdfu("publish", package_file(tmp_path / "2", make, name="roof", mark=3), *login)
    assert "the software module roof 1.2.3+4 is at the server with another content" in done.refused(6)
    assert "Build it with a new version" in done.err


def test_packages_for_several_hardwares(
    smpdfu: Call, login: tuple[str, ...], standing: StandIn, tmp_path: Path, make: Maker
) -> None:
    big, small = (package_file(tmp_path / kind, make, mark=mark) for mark, kind in enumerate(("big", "small")))
    done = smpdfu("publish", f"big={big}", f"small={small}", *login, "--name", "roof", "--version", "2026-11")
    assert done.code == 0, done
    assert [one.name for one in standing.repository.modules.values()] == ["roof-big", "roof-small"]
    (made,) = standing.repository.sets.values()
    assert (made.name, made.version, len(made.modules)) == ("roof", "2026-11", 2)


def test_the_keys_of_the_bootloader_are_checked_first(
    smpdfu: Call, login: tuple[str, ...], standing: StandIn, tmp_path: Path, make: Maker
) -> None:
    path = package_file(tmp_path, make)
    public, other = tmp_path / "key.pub.pem", tmp_path / "other.pub.pem"
    public.write_bytes(make.key.public.to_pem())
    other.write_bytes(maker().key.public.to_pem())
    wrong = smpdfu("publish", path, *login, "-k", other)
    assert "app_update.bin in dfu_application.zip would be refused" in wrong.refused()
    assert not standing.seen
    done = smpdfu("publish", path, *login, "-k", public)
    assert done.code == 0
    assert "warning" not in done.err


def test_a_development_key_needs_a_word(smpdfu: Call, login: tuple[str, ...], tmp_path: Path) -> None:
    key = load_key((ROOT / "keys" / "dev-sign-p256.pem").read_bytes())
    assert isinstance(key, PrivateKey)
    path = package_file(tmp_path, Maker(key, key))
    done = smpdfu("publish", path, *login)
    assert "anybody can sign with it, so smpdfu does not publish it" in done.refused()
    assert "--allow-dev-keys" in done.err
    assert smpdfu("publish", path, *login, "--allow-dev-keys").code == 0


def test_the_password_is_in_a_file_that_only_its_owner_reads(
    smpdfu: Call, standing: StandIn, tmp_path: Path, make: Maker
) -> None:
    path, secret = package_file(tmp_path, make), tmp_path / "password"
    secret.write_text("admin\n")
    secret.chmod(0o644)
    options = ("--server", standing.url, "--user", "admin", "--password-file", secret)
    if os.name == "posix":
        assert "other users can access" in smpdfu("publish", path, *options).refused()
        assert not standing.seen
    secret.chmod(0o600)
    assert smpdfu("publish", path, *options).code == 0


def test_a_token_is_sent_as_a_bearer(
    smpdfu: Call, standing: StandIn, tmp_path: Path, make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMPDFU_TEST_TOKEN", "abc.def")
    done = smpdfu("publish", package_file(tmp_path, make), "--server", standing.url, "--token-env", "SMPDFU_TEST_TOKEN")
    assert "the server does not accept the login" in done.refused(5)
    assert {one.authorization for one in standing.seen} == {"Bearer abc.def"}
    assert "abc.def" not in done.out + done.err


USAGE = [
    ((), "give one of --password-file, --password-env, --token-file and --token-env"),
    (("--password-env", PASSWORD), "a password needs --user"),
    (("--user", "a", "--password-env", PASSWORD, "--token-env", PASSWORD), "give one of"),
    (("--user", "a", "--token-env", PASSWORD), "--user is for a password"),
    (("--user", "a:b", "--password-env", PASSWORD), "a user name has printable characters"),
]


@pytest.mark.parametrize(("options", "words"), USAGE)
def test_wrong_options_have_a_sentence(
    smpdfu: Call,
    standing: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    make: Maker,
    options: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.setenv(PASSWORD, "admin")
    assert words in smpdfu("publish", package_file(tmp_path, make), "--server", standing.url, *options).refused(2)


ROLLOUT_USAGE = [
    (("--watch",), "need --rollout NAME"),
    (("--targets", "name == *"), "need --rollout NAME"),
    (("--rollout", "r"), "--rollout needs --targets QUERY"),
    (("--rollout", "r", "--targets", "name == *", "--events"), "--events needs --watch"),
    (("--rollout", "r", "--targets", "name == *", "--type", "gentle"), "--type is forced, soft, downloadonly"),
    (("--rollout", "r*", "--targets", "name == *"), "the name of the rollout must not have *"),
    (("--name", "a<b>"), "must not have < >"),
]


@pytest.mark.parametrize(("options", "words"), ROLLOUT_USAGE)
def test_options_that_do_not_fit_have_a_sentence(
    smpdfu: Call,
    login: tuple[str, ...],
    standing: StandIn,
    tmp_path: Path,
    make: Maker,
    options: tuple[str, ...],
    words: str,
) -> None:
    assert words in smpdfu("publish", package_file(tmp_path, make), *login, *options).refused(2)
    assert not standing.seen


def test_a_missing_variable_is_named(smpdfu: Call, standing: StandIn, tmp_path: Path, make: Maker) -> None:
    options = ("--server", standing.url, "--user", "admin", "--password-env", "SMPDFU_TEST_NOT_THERE")
    done = smpdfu("publish", package_file(tmp_path, make), *options)
    assert "the variable SMPDFU_TEST_NOT_THERE, which should hold the password, is not set" in done.refused()
    assert "Export SMPDFU_TEST_NOT_THERE" in done.err
    assert "encrypted key" not in done.err


def test_a_server_without_tls_elsewhere_is_refused(
    smpdfu: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make: Maker
) -> None:
    monkeypatch.setenv(PASSWORD, "admin")
    options = ("--server", "http://192.0.2.1", "--user", "admin", "--password-env", PASSWORD)
    done = smpdfu("publish", package_file(tmp_path, make), *options)
    assert "everybody on the way can read the login" in done.refused(4)
    assert "--insecure-http" in done.err


STATUSES = [(401, 5), (403, 5), (404, 5), (429, 5), (500, 5), (503, 5)]


@pytest.mark.parametrize(("status", "code"), STATUSES)
def test_refusals_have_their_exit_codes(
    smpdfu: Call, login: tuple[str, ...], standing: StandIn, tmp_path: Path, make: Maker, status: int, code: int
) -> None:
    standing.faults.add(Fault("status", "", status=status))
    done = smpdfu("publish", package_file(tmp_path, make), *login)
    assert f"(HTTP {status})" in done.refused(code)
    assert "YWRtaW46YWRtaW4=" not in done.err  # the header of admin:admin


def test_a_web_page_and_a_broken_connection_are_of_the_link(
    smpdfu: Call, login: tuple[str, ...], standing: StandIn, tmp_path: Path, make: Maker
) -> None:
    path = package_file(tmp_path, make)
    for fault in (Fault("replace", body=b"<html>"), Fault("drop-before", times=2)):
        standing.faults.clear()
        standing.faults.add(fault)
        assert smpdfu("publish", path, *login).refused(4)


@pytest.fixture
def acting(monkeypatch: pytest.MonkeyPatch, operator: HawkbitServer) -> list[bool]:
    """The rollout is followed without waiting; at each look, the devices close their actions as the list says."""
    good = [True]
    whole = watch_rollout

    async def watch(number: int, access: object, **how: object) -> object:
        async def sleep(seconds: float) -> None:
            names = sorted(target["controllerId"] for target in operator.call("GET", "targets?limit=500")["content"])
            close_actions(operator, names, lambda device: good[0], "the device runs its previous firmware")

        return await whole(number, access, **how, sleep=sleep)  # type: ignore[arg-type]  # handed on

    monkeypatch.setattr(command, "watch_rollout", watch)
    return good


ROLLOUT = ("--rollout", "may", "--targets", "name == roof-*", "--groups", "2", "--start")


def test_a_rollout_is_started_and_watched(
    smpdfu: Call, login: tuple[str, ...], operator: HawkbitServer, tmp_path: Path, make: Maker, acting: list[bool]
) -> None:
    for at in range(4):
        operator.add_target(f"roof-{at}")
    done = smpdfu("publish", package_file(tmp_path, make), *login, *ROLLOUT, "--watch")
    assert done.code == 0, done
    assert "rollout may: finished" in done.out
    assert "group 2 of 2 (group-2): finished, 2 targets: 2 done" in done.err
    again = document(smpdfu("publish", package_file(tmp_path, make), *login, *ROLLOUT, "--watch", "--json"))
    rollout = again["rollout"]
    assert isinstance(rollout, dict)
    assert (rollout["end"], rollout["existed"], rollout["counts"]["finished"]) == ("finished", True, 4)
    assert [group["status"] for group in rollout["groups"]] == ["finished", "finished"]


def test_a_rollout_over_its_threshold_is_code_7_with_the_reason(
    smpdfu: Call, login: tuple[str, ...], operator: HawkbitServer, tmp_path: Path, make: Maker, acting: list[bool]
) -> None:
    acting[0] = False
    for at in range(4):
        operator.add_target(f"roof-{at}")
    path = package_file(tmp_path, make)
    done = smpdfu("publish", path, *login, *ROLLOUT, "--watch")
    sentence = done.refused(7)
    assert "the rollout may passed its error threshold in group group-1, more than 10 % failed" in sentence
    assert "roof-0: the device runs its previous firmware" in sentence
    found = smpdfu("publish", path, *login, *ROLLOUT, "--watch", "--json")
    assert found.code == 7
    said = json.loads(found.out)
    assert said["error"]["exit_code"] == 7
    assert said["rollout"]["failed"][0]["messages"] == ["the device runs its previous firmware"]


def test_events_are_lines_of_json(
    smpdfu: Call, login: tuple[str, ...], operator: HawkbitServer, tmp_path: Path, make: Maker, acting: list[bool]
) -> None:
    operator.add_target("roof-1")
    done = smpdfu("publish", package_file(tmp_path, make), *login, *ROLLOUT[:4], "--start", "--watch", "--events")
    assert done.code == 0, done
    events = [json.loads(line) for line in done.out.splitlines()]
    assert events[-2]["event"] == "rollout"
    assert {one["event"] for one in events} == {"rollout", "group"}
    assert events[-2]["status"] == "finished"


@pytest.mark.parametrize(("well", "code"), [(True, 0), (False, 7)])
def test_events_end_with_the_answer_if_json_is_wanted(
    smpdfu: Call,
    login: tuple[str, ...],
    operator: HawkbitServer,
    tmp_path: Path,
    make: Maker,
    acting: list[bool],
    well: bool,
    code: int,
) -> None:
    acting[0] = well
    operator.add_target("roof-1")
    done = smpdfu("publish", package_file(tmp_path, make), *login, *ROLLOUT, "--watch", "--events", "--json")
    assert done.code == code, done
    *events, answer = [json.loads(line) for line in done.out.splitlines()]
    assert events
    assert all("event" in one for one in events)
    assert answer["rollout"]["end"] == ("finished" if well else "error threshold")
    assert answer.get("error", {"exit_code": 0})["exit_code"] == code
