"""The goals: every row of the table in issue 18, with its aim, and a few goals of other benchmarks.

A goal that compares with nobody has its aim in its own unit, and such an aim depends on the computer.
"""

from __future__ import annotations

from functools import partial

from benchmarks.rows import Goal

startup = partial(Goal, bench="bench_startup", judged="CPU", unit="ms")
to_python = partial(startup, aim=4, other="bare Python")
sign = partial(Goal, bench="bench_sign", judged="CPU", unit="ms", other="imgtool")
client_cpu = partial(Goal, bench="bench_programs", judged="ours", unit="s/MB")
link = partial(Goal, bench="bench_programs", judged="wall", unit="KiB/s", other="the link", at_least=True)
own_window = partial(Goal, judged="wall", unit="KiB/s", other="window of one", at_least=True, aim=0.97)
uart = partial(Goal, bench="bench_uart", judged="wall", unit="KiB/s", at_least=True)
devices = partial(Goal, bench="bench_devices", judged="ours", unit="ms")
tests = partial(Goal, bench="bench_tests", judged="ours", unit="s")
simulated = partial(Goal, bench="bench_links", judged="wall", unit="KiB/s", other="the link", at_least=True)
line = partial(Goal, bench="bench_secure_dfu", judged="wall", unit="KiB/s", other="the line", at_least=True, aim=0.95)

whole = partial(Goal, bench="bench_peers", judged="wall", unit="s", aim=1)

ISSUE = (
    sign("smpdfu sign 1 MiB, whole process", aim=0.6),
    sign("smpdfu-imgtool sign 1 MiB, whole process", aim=0.6),
    to_python("smpdfu --version"),
    to_python("smpdfu verify"),
    to_python("smpdfu inspect"),
    to_python("smpdfu list, to the first byte"),
    startup("modules of rich in five commands with --json", aim=0, judged="ours", unit="modules"),
    sign("sign 1 MiB in process, without a file", aim=0.15),
    sign("sign 1 MiB in process, file to file", aim=0.5),
    sign("sign 16 MiB in process, file to file", aim=0.5),
    sign("sign 1 MiB, hex to hex, whole process", aim=0.1),
    client_cpu("client CPU, pty, unpaced", aim=0.15),
    client_cpu("client CPU, UDP, unpaced", aim=0.15),
    client_cpu("client CPU, pty, 15 ms", aim=0.3),
    client_cpu("client CPU, UDP, 15 ms", aim=0.3),
    link("modelled link: pty, 15 ms, 8 buffers", aim=0.95),
    link("modelled link: pty, 7.5 ms", aim=0.95),
    link("modelled link: Bluetooth, 15 ms, one buffer", aim=0.95),
    link("modelled link: pty, 15 ms, 1 % loss", aim=0.9),
    own_window("real server in QEMU, 384 bytes", bench="bench_qemu"),
    own_window("real server in QEMU, 2048 bytes", bench="bench_qemu"),
    Goal("real server in QEMU: more resends than one", "bench_qemu", 0, "ours", "pieces"),
    uart("raw serial", other="best peer", aim=1.25),
    uart("fs upload of 4 KB", other="smpclient", aim=1),
    uart("fs upload of 1 MB", other="smpclient", aim=1),
    Goal("fleet of 1,000 devices over UDP", "bench_fleet", 800, "ours", "a minute", at_least=True),
    devices("boot of a virtual device", aim=2.8 / 3),
    devices("update of a virtual device", aim=27 / 3),
    tests("make test", aim=180),
    tests("make check", aim=45),
)
"""The rows of issue 18, in its order."""

OTHERS = (
    simulated("simulated pty 7.5 ms 4 buffers", aim=0.95),
    simulated("simulated pty 15 ms 8 buffers", aim=0.95),
    simulated("simulated udp 15 ms 8 buffers", aim=0.95),
    simulated("simulated pty 15 ms 4 buffers 1% loss", aim=0.9),
    simulated("simulated udp 15 ms 4 buffers 1% loss", aim=0.9),
    to_python("smpdfu verify -k KEY"),
    own_window("modelled UART, 384 bytes", bench="bench_uart"),
    own_window("modelled UART, 2048 bytes", bench="bench_uart"),
    Goal("modelled UARTs: more resends than one", "bench_uart", 0, "ours", "pieces"),
    uart("modelled UARTs, the slowest", other="best peer", aim=1),
    line("Secure DFU, UART, 115200 Bd"),
    line("Secure DFU, USB CDC, 200 kB/s"),
    whole("whole upload, pty: smpmgr", other="smpmgr"),
    whole("whole upload, pty: mcumgr", other="mcumgr"),
    whole("whole upload, pty: mcumgr-client", other="mcumgr-client"),
    whole("whole upload, pty: mcumgrctl", other="mcumgrctl"),
    whole("whole upload, UDP: mcumgr", other="mcumgr"),
    whole("whole upload, UDP: mcumgrctl", other="mcumgrctl"),
    whole("whole upload, pty unpaced: mcumgrctl", other="mcumgrctl"),
    Goal("affected, 1,000 devices with 10 updates each", "bench_affected", 1, "ours", "s"),
)
"""Goals that other issues set, or that stand in for what not every machine can run."""

GOALS = (*ISSUE, *OTHERS)


def goal(name: str) -> Goal:
    """The goal of that name. KeyError without one."""
    return {one.name: one for one in GOALS}[name]
