"""The uploads that the benchmarks time: whole processes of what people type, against a virtual device."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import bench_qemu
from benchmarks.bench_upload import KIB, Rig, rig
from benchmarks.rows import NotRun, Row
from benchmarks.typed_upload import FailedError, image, peer_upload, run, upload
from benchmarks.upload_device import Setting

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo terminals")


@pytest.fixture(scope="module")
def bench() -> Iterator[Rig]:
    with rig() as made:
        yield made


@pytest.mark.parametrize("wire", ["pty", "raw", "udp"])
def test_an_upload_is_a_whole_process_and_arrives(bench: Rig, tmp_path: Path, wire: str) -> None:
    path = image(tmp_path, 16 * KIB)
    took = upload(bench, Setting(wire), path)
    assert took.size == path.stat().st_size
    assert 0 < took.seconds < took.wall_s, "start-up is not in the seconds of the upload"
    assert took.cpu_s > 0
    assert took.requests > 5
    assert upload(bench, Setting(wire), path, "-w", "1").window <= 1


def test_what_does_not_arrive_is_an_error(bench: Rig, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="other bytes are in the device"):
        peer_upload(bench, Setting("pty"), image(tmp_path, 16 * KIB), lambda _: [sys.executable, "-c", "pass"])


def test_a_program_that_fails_is_named_with_its_last_line() -> None:
    words = "import sys; print('first'); print('no device'); sys.exit(3)"
    with pytest.raises(FailedError, match=r"^python[\d.]*: exit code 3: no device$"):
        run([sys.executable, "-c", words], 1)


def test_a_real_server_is_named_by_variables(bench: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = image(tmp_path, 8 * KIB)
    with bench.device(Setting("pty", buf_size=384), path) as port:
        monkeypatch.setenv("QEMU_SMP_384", port)
        monkeypatch.setenv("QEMU_SMP_IMAGE", str(path))
        monkeypatch.delenv("QEMU_SMP_2048", raising=False)
        small, large, resends = bench_qemu.results(quick=True)
    assert isinstance(small, Row)
    assert small.other is not None
    assert small.wall == pytest.approx(small.ours / small.other)
    assert isinstance(large, NotRun)
    assert "QEMU_SMP_2048" in large.reason
    assert isinstance(resends, Row)
