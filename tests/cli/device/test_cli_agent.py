"""``smpdfu agent``: run, once, status and doctor, with a server that speaks hawkBit's protocol and virtual devices."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.dfu.package.images import Core
from smpdfu.local.state.lock import Lock
from tests.agent.servers.management import HawkbitServer
from tests.agent.servers.stand_in.faults import Fault
from tests.agent.servers.stand_in.serve import StandIn, stand_in
from tests.cli.device.conftest import Desk, new_desk
from tests.deadlines import HANG_S

if TYPE_CHECKING:
    from smpdfu.image.keys.keys import PrivateKey
    from tests.cli.conftest import Call


@dataclass(frozen=True)
class Site:
    """A gateway with two devices, one of which is not there, and the server with its operator."""

    desk: Desk
    file: Path
    server: StandIn
    operator: HawkbitServer

    @property
    def token(self) -> str:
        return self.operator.gateway_token()

    def order(self, device: str = "desk", **how: Any) -> str:
        """Assign a package to a device; the number of the action."""
        self.operator.add_target(device)
        package = self.desk.package(cores=(Core.APP,), **how)
        software = self.operator.upload("app", "2.0.0", {"dfu_application.zip": package.read_bytes()})
        return self.operator.assign(software, device)

    def only_desk(self) -> None:
        """Take the other device out of the file."""
        self.file.write_text(self.file.read_text().partition('[[device]]\nname = "gone"')[0])


@pytest.fixture
def site(smpdfu: Call, tmp_path: Path, trusted: tuple[PrivateKey, PrivateKey]) -> Iterator[Site]:
    desk = new_desk(Desk(smpdfu, "desk", tmp_path, *trusted), "nrf5340dk-staged")
    with stand_in() as server:
        site = Site(desk, tmp_path / "AGENT.toml", server, HawkbitServer("stand-in", server.url))
        secret = tmp_path / "gateway.token"
        secret.write_text(site.token)
        secret.chmod(0o600)
        site.file.write_text(
            f'[agent]\ngateway = "b17"\nstate = "state"\n[server]\nurl = "{server.url}"\n'
            '[authentication]\ngateway_token_file = "gateway.token"\n[update]\nboot_timeout_s = 5\n'
            '[[device]]\nname = "desk"\naddress = "virtual:desk"\n'
            '[[device]]\nname = "gone"\naddress = "virtual:nobody"\n'
        )
        yield site


def events(err: str) -> list[str]:
    """The events of a log of text."""
    words = [line.split() for line in err.splitlines()]
    return [one[2] for one in words if len(one) > 2 and one[1] in ("INFO", "WARNING", "ERROR")]


def status(smpdfu: Call, site: Site) -> dict[str, Any]:
    """The document of ``agent status``, its devices by name."""
    found = smpdfu("agent", "status", site.file, "--json")
    assert found.code == 0, found.err
    return found.document | {"devices": {one["name"]: one for one in found.document["devices"]}}  # type: ignore[no-any-return]


def test_a_round_installs_what_the_server_orders(smpdfu: Call, site: Site) -> None:
    site.only_desk()
    action = site.order()
    done = smpdfu("agent", "once", site.file, "--json")
    assert (done.code, done.document) == (0, {"ended": ["desk"], "failed": [], "waiting": [], "unpolled": []})
    assert site.desk.slots()[0][1] == "2.0.0"
    assert site.operator.actions("desk")[0].status == "finished"
    assert events(done.err)[0] == "begin"
    assert {"action", "package", "step", "action-ended", "feedback", "attributes", "end"} <= set(events(done.err))
    found = status(smpdfu, site)
    assert (found["running"], found["phases"]) == (False, {"idle": 1})
    one = found["devices"]["desk"]
    assert (one["outcome"], one["ended_action"], one["action"]) == ("done", action, "")
    assert one["polled"] > found["started"] - 1
    again = smpdfu("agent", "once", site.file)
    assert (again.code, again.out) == (0, "done  nothing is left to do\n")
    assert status(smpdfu, site)["devices"]["desk"]["outcome"] == "done", "a new run remembers it"


def test_a_failure_is_exit_code_7_once_and_status_says_why(smpdfu: Call, site: Site) -> None:
    site.only_desk()
    site.order(key=site.desk.encryption)
    done = smpdfu("agent", "once", site.file)
    assert done.code == 7
    assert "smpdfu agent status AGENT.toml" in done.err
    assert done.out == "failed  1: desk\n"
    assert site.operator.actions("desk")[0].status == "error"
    assert status(smpdfu, site)["devices"]["desk"]["outcome"] == "reverted"
    assert "reverted" in smpdfu("agent", "status", site.file).out
    assert smpdfu("agent", "once", site.file).code == 0, "it was said"


def test_an_action_that_waits_is_exit_code_8(smpdfu: Call, site: Site) -> None:
    site.order("gone")
    done = smpdfu("agent", "once", site.file)
    assert done.code == 8
    assert "actions that are not finished: 1" in done.err
    found = status(smpdfu, site)["devices"]["gone"]
    assert (found["phase"], found["outcome"]) == ("waiting", "")
    assert "there is no virtual device 'nobody'" in found["message"]


def test_a_server_that_does_not_answer_is_exit_code_4(smpdfu: Call, site: Site) -> None:
    site.server.faults.add(Fault("status", "GET /DEFAULT/controller", times=99, status=503))
    done = smpdfu("agent", "once", site.file)
    assert done.refused(4) == "the server did not answer as it should for 2 devices"
    assert events(done.err).count("poll-failed") == 2
    assert "smpdfu agent doctor" in done.err
    assert "HTTP 503" in status(smpdfu, site)["devices"]["desk"]["problem"]
    site.only_desk()
    assert smpdfu("agent", "once", site.file).refused(4) == "the server did not answer as it should for 1 device"


def test_no_output_has_the_token(smpdfu: Call, site: Site) -> None:
    site.server.faults.add(
        Fault(
            "replace",
            "GET /DEFAULT",
            times=99,
            body=f'{{"config": "{site.token}"}}'.encode(),
            content_type="application/json",
        )
    )
    for words in (("once",), ("once", "--json"), ("status",), ("status", "--json"), ("doctor",), ("doctor", "--json")):
        done = smpdfu("agent", words[0], site.file, *words[1:])
        assert site.token not in done.out + done.err
    for path in (site.file.parent / "state").rglob("*"):
        assert not path.is_file() or site.token.encode() not in path.read_bytes(), path


# --- the agent as a process of its own --------------------------------------------------------------------------------


@pytest.fixture
def running(site: Site) -> Iterator[subprocess.Popen[str]]:
    """The agent, which has begun; its log is JSON."""
    site.file.write_text(site.file.read_text() + '[log]\nform = "json"\n')
    program = [sys.executable, "-c", "from smpdfu.__main__ import main; main()", "agent", "run", str(site.file)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(process: subprocess.Popen[str], name: str) -> dict[str, Any]:
    """Read the log until this event."""
    assert process.stderr is not None
    for line in process.stderr:
        found: dict[str, Any] = json.loads(line)
        if found["event"] == name:
            return found
    raise AssertionError(f"it ended before {name}")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to end a program in order")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_runs_until_a_signal_and_ends_in_order(
    number: int, smpdfu: Call, site: Site, running: subprocess.Popen[str]
) -> None:
    site.order()
    begin = wait_for(running, "begin")
    assert (begin["devices"], begin["gateway"], begin["level"]) == (2, "b17", "info")
    assert wait_for(running, "action-ended")["outcome"] == "done"
    found = status(smpdfu, site)
    assert (found["running"], found["pid"]) == (True, running.pid)
    assert "the agent runs" in smpdfu("agent", "status", site.file).out
    doctor = {one["code"] for one in smpdfu("agent", "doctor", site.file, "--json").document["findings"]}
    assert "agent-runs" in doctor
    assert "device" not in doctor
    second = smpdfu("agent", "run", site.file)
    assert second.code != 0
    assert str(running.pid) in second.sentence
    running.send_signal(number)
    out, err = running.communicate(timeout=HANG_S)
    assert (running.returncode, out) == (0, "Stopped. No action is open.\n"), err
    assert json.loads(err.splitlines()[-1])["event"] == "end"
    stopped = status(smpdfu, site)
    assert (stopped["running"], stopped["pid"]) == (False, None)
    assert stopped["devices"]["desk"]["outcome"] == "done"


def test_after_a_kill_the_status_says_that_the_agent_does_not_run(
    smpdfu: Call, site: Site, running: subprocess.Popen[str]
) -> None:
    wait_for(running, "attributes")
    while not status(smpdfu, site)["time"]:
        assert running.poll() is None
    running.kill()
    running.wait(HANG_S)
    assert (
        "the agent does not run. It did not end normally; the table is of 20"
        in smpdfu("agent", "status", site.file).out
    )


# --- doctor ---------------------------------------------------------------------------------------------------------


def findings(smpdfu: Call, site: Site, *more: str, code: int = 0) -> dict[str, dict[str, str]]:
    done = smpdfu("agent", "doctor", site.file, "--json", *more)
    assert done.code == code, done.err + done.out
    return {one["code"]: one for one in done.document["findings"]}


def test_doctor_of_a_gateway_that_is_ready(smpdfu: Call, site: Site) -> None:
    found = findings(smpdfu, site)
    assert {code for code, one in found.items() if one["level"] == "ok"} == {
        *("folder-ready", "space-enough", "server-ready", "clock-ready", "token-ready", "devices-ready"),
    }
    assert "there is no virtual device 'nobody'" in found["device"]["what"]
    assert found["device"]["level"] == "warning"
    assert not site.server.repository.targets, "doctor registers nothing"
    assert not (site.file.parent / "state").exists(), "and writes nothing"


def test_doctor_checks_one_topic(smpdfu: Call, site: Site) -> None:
    assert set(findings(smpdfu, site, "--only", "devices")) == {"devices-ready", "device"}
    assert {one["topic"] for one in findings(smpdfu, site, "--only", "server").values()} == {"server"}
    assert "Use one of files, server, devices" in smpdfu("agent", "doctor", site.file, "--only", "x").refused(2)


def test_doctor_and_a_wrong_token(smpdfu: Call, site: Site) -> None:
    (site.file.parent / "gateway.token").write_text("0123456789")
    one = findings(smpdfu, site, "--only", "server", code=4)["token-refused"]
    assert (one["level"], one["what"]) == ("error", "the server refuses the credentials (HTTP 401)")
    done = smpdfu("agent", "doctor", site.file)
    assert done.sentence == "this gateway is not ready: the server refuses the credentials (HTTP 401)"
    assert "0123456789" not in done.out + done.err


def test_doctor_and_target_tokens(smpdfu: Call, site: Site) -> None:
    tokens = site.file.parent / "tokens.csv"
    tokens.write_text(f"name,token\ndesk,{site.operator.add_target('desk')}\ngone,wrong\n")
    tokens.chmod(0o600)
    site.file.write_text(
        site.file.read_text().replace('gateway_token_file = "gateway.token"', 'target_tokens = "tokens.csv"')
    )
    one = findings(smpdfu, site, "--only", "server", code=4)["token-refused"]
    assert one["what"] == "the server refuses the credentials of 'gone' (HTTP 401)"
    tokens.write_text(f"name,token\ndesk,{site.operator.add_target('desk2')}\n")
    assert "'gone' has no target token" in findings(smpdfu, site, "--only", "server", code=4)["secret"]["what"]


def test_doctor_and_a_file_that_others_can_read(smpdfu: Call, site: Site) -> None:
    (site.file.parent / "gateway.token").chmod(0o644)
    assert "chmod 600" in findings(smpdfu, site, "--only", "files", code=4)["secret"]["what"]
    (site.file.parent / "gateway.token").unlink()
    one = findings(smpdfu, site, "--only", "files", code=4)["secret"]
    assert "No such file" in one["what"]
    assert one["do"].startswith("Write the secret into this file")


@pytest.mark.parametrize(
    ("fault", "code", "level"),
    [
        (Fault("replace", body=b"<html>", content_type="text/html"), "web-page", "error"),
        (Fault("status", status=503), "token-unknown", "warning"),
        (Fault("status", status=404), "token-unknown", "warning"),
    ],
)
def test_doctor_and_what_is_no_hawkbit(fault: Fault, code: str, level: str, smpdfu: Call, site: Site) -> None:
    site.server.faults.add(fault)
    found = findings(smpdfu, site, "--only", "server", code=4 if level == "error" else 0)
    assert found[code]["level"] == level
    assert "token-ready" not in found


def test_doctor_and_names_that_hawkbit_refuses(smpdfu: Call, site: Site) -> None:
    """Measured on hawkBit 1.1.0: it answers 400 to them, with a web page. The token is checked with another name."""
    site.file.write_text(site.file.read_text().replace('name = "desk"', 'name = "b17/desk"'))
    found = findings(smpdfu, site, "--only", "server")
    assert found["device-name"]["what"] == "hawkBit takes no such controller id: 'b17/desk'"
    assert found["token-ready"]["level"] == "ok"


def test_doctor_and_no_server(smpdfu: Call, site: Site) -> None:
    site.file.write_text(site.file.read_text().replace(site.server.url, "http://127.0.0.1:9"))
    one = findings(smpdfu, site, "--only", "server", code=4)["server-unreachable"]
    assert one["what"].endswith("127.0.0.1:9: Connection refused")
    assert one["do"] == "Correct 'url' in [server], or start the server."


def test_doctor_and_a_key_that_is_not_there(smpdfu: Call, site: Site) -> None:
    site.file.write_text(site.file.read_text().replace("[update]\n", '[update]\ntrust = ["none.pem"]\n'))
    one = findings(smpdfu, site, "--only", "files", code=4)["key"]
    assert (one["level"], "none.pem" in one["what"]) == ("error", True)
    assert smpdfu("agent", "once", site.file).refused(3) == one["what"], "the agent does not start"


def test_doctor_sees_claims_of_other_gateways(smpdfu: Call, site: Site) -> None:
    site.operator.add_target("desk")
    site.server.repository.set_attributes(
        "desk",
        "merge",
        {"smpdfu_claim": f"{'0' * 16} b18", "smpdfu_claimed": "2026-11-30T18:00:00Z", "smpdfu_gateway": "b17"},
    )
    password = site.file.parent / "reader.password"
    password.write_text("admin\n")
    password.chmod(0o600)
    site.file.write_text(
        site.file.read_text().replace(
            "[update]", '[management]\nuser = "admin"\npassword_file = "reader.password"\n[update]'
        )
    )
    found = findings(smpdfu, site, "--only", "server")
    assert found["management-ready"]["level"] == "ok"
    assert found["claimed-elsewhere"]["what"] == (
        "desk: the server has it as a device of the gateway b18 since 2026-11-30T18:00:00Z"
    )
    password.write_text("wrong-password\n")
    one = findings(smpdfu, site, "--only", "server", code=4)["management"]
    assert "login" in one["what"]
    assert "wrong-password" not in one["what"]


# --- before there is anything -----------------------------------------------------------------------------------------


def test_status_of_an_agent_that_never_ran(smpdfu: Call, site: Site) -> None:
    found = status(smpdfu, site)
    assert (found["running"], found["time"], found["phases"]) == (False, None, {"new": 2})
    assert "the agent does not run, and has not run with this file" in smpdfu("agent", "status", site.file).out


def test_status_of_a_damaged_file(smpdfu: Call, site: Site) -> None:
    smpdfu("agent", "once", site.file)
    (path,) = (site.file.parent / "state").rglob("status.json")
    path.write_text("{")
    assert f"{path} is damaged" in smpdfu("agent", "status", site.file).refused(3)


def test_another_agent_with_the_same_records_is_said(smpdfu: Call, site: Site) -> None:
    assert smpdfu("agent", "once", site.file).code == 0
    (path,) = (site.file.parent / "state").rglob("status.json")
    before = path.read_bytes()
    lock = Lock(path.parent / "lock")
    lock.acquire()
    try:
        done = smpdfu("agent", "once", site.file)
    finally:
        lock.release()
    assert done.code == 8
    assert f"process {os.getpid()}" in done.sentence
    assert path.read_bytes() == before, "the status is the other's"


@pytest.mark.parametrize("words", ["run", "once", "status", "doctor"])
def test_a_wrong_file(words: str, smpdfu: Call, tmp_path: Path) -> None:
    assert smpdfu("agent", words, tmp_path / "gone.toml").code == 3
    (tmp_path / "AGENT.toml").write_text('[agent]\ngateway = "g"\ntoken = "SECRET"\n')
    done = smpdfu("agent", words, tmp_path / "AGENT.toml")
    assert "unknown key 'token'" in done.refused(3)
    assert "SECRET" not in done.err


@pytest.mark.parametrize("words", ["run", "once", "doctor"])
def test_without_the_extra_there_is_one_sentence(words: str, tmp_path: Path) -> None:
    """In a process of its own: modules are imported once."""
    program = (
        "import sys; sys.modules['aiohttp'] = None\n"
        f"sys.argv = ['smpdfu', 'agent', '{words}', 'AGENT.toml']\nfrom smpdfu.cli.app.main import run; run()"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=HANG_S
    )
    assert done.returncode == 4, done.stderr
    assert "pip install 'smpdfu[agent]'" in done.stderr
    assert "Traceback" not in done.stderr
