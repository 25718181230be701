"""Examples that ``--help`` and the man page show: each is a complete command."""

from __future__ import annotations

from collections.abc import Mapping

_SECURE_DFU_PACKAGE = (
    "smpdfu secure-dfu package --application app.hex --application-version 7 --hw-version 52 --sd-req 0x100 -k key.pem"
)
EXAMPLES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "scan": (
        ("smpdfu scan", "all devices in reach"),
        ("smpdfu scan --seconds 0", "without Bluetooth"),
    ),
    "list": (
        ("smpdfu list --port /dev/ttyACM0", "over a serial port"),
        ("smpdfu list --ble MyDevice --json", "over Bluetooth LE, for a script"),
    ),
    "update": (
        ("smpdfu update dfu_application.zip --port /dev/ttyACM0 --plan", "show the steps and write nothing"),
        ("smpdfu update dfu_application.zip --port /dev/ttyACM0", "update; the same command continues"),
        ("smpdfu update dfu_application.zip --port /dev/ttyACM0 --recovery", "update a device in serial recovery"),
        (
            "smpdfu update dfu_application.zip --port /dev/ttyACM0 --net-key nsib.pub.pem",
            "check who sealed the network image first",
        ),
    ),
    "upload": (
        ("smpdfu upload app_update.bin --port /dev/ttyACM0 --confirm", "upload, test and confirm"),
        ("smpdfu upload app_update.bin --port /dev/ttyACM0 --test", "upload and mark for a test"),
        (
            "smpdfu upload net_core_update.bin --port /dev/ttyACM0 --confirm --net-key nsib.pub.pem",
            "check the seal for b0n first",
        ),
    ),
    "test": (("smpdfu test --port /dev/ttyACM0", "test the uploaded image at the next boot"),),
    "confirm": (("smpdfu confirm --port /dev/ttyACM0", "keep the running image"),),
    "reset": (("smpdfu reset --port /dev/ttyACM0", "restart, and say what became of a pending image"),),
    "fleet": (
        ("smpdfu fleet run roofs.toml --plan", "show the plan, without asking a device"),
        ("smpdfu fleet run roofs.toml", "update; the same command continues"),
        ("smpdfu fleet status roofs.toml", "show what failed and why"),
    ),
    "fleet run": (
        ("smpdfu fleet run roofs.toml", "update; the same command continues"),
        ("smpdfu fleet run roofs.toml --plan", "show the plan, without asking a device"),
        ("smpdfu fleet run roofs.toml --go-on", "also retry the failed devices"),
        ("smpdfu fleet run roofs.toml --net-key net_provision.hex", "check who sealed the network images first"),
    ),
    "fleet pause": (("smpdfu fleet pause roofs.toml", "begin no further device"),),
    "fleet resume": (("smpdfu fleet resume roofs.toml", "continue after a pause"),),
    "fleet status": (
        ("smpdfu fleet status roofs.toml", "show what failed and why"),
        ("smpdfu fleet status roofs.toml --json", "for a script"),
    ),
    "fleet report": (
        ("smpdfu fleet report roofs.toml -o roofs.html", "a page for a browser"),
        ("smpdfu fleet report roofs.toml --csv -o roofs.csv", "a table for a spreadsheet"),
    ),
    "fleet repair": (("smpdfu fleet repair roofs.toml", "move damaged lines of the log out of the way"),),
    "agent": (
        ("smpdfu agent doctor AGENT.toml", "check the server, the token, the folders and the devices"),
        ("smpdfu agent run AGENT.toml", "work until you press Ctrl-C"),
        ("smpdfu agent status AGENT.toml", "show what it does with each device"),
    ),
    "agent run": (("smpdfu agent run AGENT.toml", "work until you press Ctrl-C"),),
    "agent once": (("smpdfu agent once AGENT.toml", "one round, for cron or a trial"),),
    "agent status": (
        ("smpdfu agent status AGENT.toml", "each device: last poll, action, outcome"),
        ("smpdfu agent status AGENT.toml --json", "for a script"),
    ),
    "agent doctor": (
        ("smpdfu agent doctor AGENT.toml", "check everything"),
        ("smpdfu agent doctor AGENT.toml --only server", "check only the server, the token and the clock"),
    ),
    "agent unit": (
        ("smpdfu agent unit /etc/smpdfu/agent.toml", "a unit for /etc/systemd/system/smpdfu-agent.service"),
    ),
    "affected": (
        ("smpdfu affected --sbom releases/ --component 'mbedtls@<3.6.2'", "which devices run a vulnerable component"),
        ("smpdfu affected --hash 5f2c9a01d3", "which devices run this image"),
        ("smpdfu affected --sbom release-1.cdx.json roofs.toml --json", "one release and one fleet, for a script"),
    ),
    "publish": (
        (
            "smpdfu publish dfu_application.zip --server https://hawkbit.example.com --user ci --password-env PASSWORD",
            "make a distribution set",
        ),
        (
            "smpdfu publish dfu_application.zip --server https://hawkbit.example.com --user ci --password-env PASSWORD "
            "-k mcuboot.pub.pem --rollout may --targets 'attribute.smpdfu_hardware == roof' --groups 3 --start --watch",
            "update the devices in three groups",
        ),
    ),
    "secure-dfu": (
        (f"{_SECURE_DFU_PACKAGE} -o app.zip", "make a package for an application on S140 7.2.0"),
        ("smpdfu secure-dfu show app.zip -k key.pub.pem", "show all of it, and verify the signature"),
        ("smpdfu secure-dfu send app.zip --port /dev/ttyACM0", "send it; the same command continues"),
    ),
    "secure-dfu package": (
        (f"{_SECURE_DFU_PACKAGE} -o app.zip", "an application on S140 7.2.0"),
        (
            "smpdfu secure-dfu package --softdevice sd.hex --bootloader bl.hex --bootloader-version 3 --hw-version 52 "
            "--sd-req 0xCA -k key.pem -o system.zip",
            "a new SoftDevice and a new bootloader for devices with S140 7.0.1",
        ),
        (
            f"{_SECURE_DFU_PACKAGE} --for-bootloader bl.hex --chip nrf52840 -o app.zip",
            "compare with the bootloader that the devices have",
        ),
    ),
    "secure-dfu show": (
        ("smpdfu secure-dfu show app.zip -k key.pub.pem", "show all of it, and verify the signature"),
        ("smpdfu secure-dfu show app.zip --json", "for a script"),
    ),
    "secure-dfu send": (
        ("smpdfu secure-dfu send app.zip --port /dev/ttyACM0", "over a serial port; the same command continues"),
        ("smpdfu secure-dfu send app.zip --ble MyDevice", "over Bluetooth LE"),
    ),
    "package": (
        ("smpdfu package build -k key.pem", "of a build folder of the nRF Connect SDK"),
        ("smpdfu package build -k key.pem --plan", "show what the build says, write nothing"),
        ("smpdfu package --merged merged.hex --version 1.2.3 -k key.pem -o build/v1", "from a merged.hex"),
        ("smpdfu package --app app.hex --net net.hex --version 1.2.3 -k key.pem -o build/v1", "from two files"),
        ("smpdfu package build -k key.pem --nsib-key nsib.pem", "seal the network core's firmware for b0n, too"),
    ),
    "sign": (
        ("smpdfu sign -k key.pem -v 1.2.3 -H 0x200 --pad-header -S 0xe0000 app.bin app.signed.bin", "sign"),
        (
            "smpdfu sign -k key.pem -E enc.pub.pem -v 1.2.3 -H 0x200 --pad-header -S 0xe0000 app.bin app.enc.bin",
            "sign and encrypt",
        ),
    ),
    "seal": (
        ("smpdfu seal net.hex net.sealed.hex -k nsib.pem", "seal the network core's firmware for b0n"),
        ("smpdfu seal mcuboot.bin mcuboot.sealed.bin -k nsib.pem --address 0x8200", "seal MCUboot for b0"),
        ("smpdfu seal net.hex hash.bin --vector-to-sign payload", "sign elsewhere: write what is to be signed"),
        (
            "smpdfu seal net.hex net.sealed.hex --fix-sig sig.der --fix-sig-pubkey nsib.pub.pem",
            "and put the signature in",
        ),
    ),
    "provision": (
        (
            "smpdfu provision make -o provision.hex --address 0xff8100 --s0 0x8000 --s1 0x14000 -k nsib.pub.pem",
            "of a new device",
        ),
        ("smpdfu provision show provision.hex", "slots, keys and counters"),
    ),
    "provision make": (
        (
            "smpdfu provision make -o provision.hex --address 0xff8100 --s0 0x8000 --s1 0x14000 -k nsib.pub.pem "
            "-k next.pub.pem --counter-slots 240",
            "b0, with a second key for later",
        ),
        (
            "smpdfu provision make -o net.hex --address 0x1008580 --s0 0x1008800 -k nsib.pub.pem",
            "b0n of the network core",
        ),
    ),
    "provision show": (
        ("smpdfu provision show provision.hex -k nsib.pub.pem", "and which of the keys is nsib.pub.pem"),
        ("smpdfu provision show merged.hex --address 0xff8100 --json", "of a file with more in it, for a script"),
    ),
    "verify": (
        ("smpdfu verify app.signed.bin -k key.pub.pem", "check signature, hash and format"),
        ("smpdfu verify net_core_update.bin -k key.pub.pem --net-key nsib.pub.pem", "and the seal for b0n"),
        ("smpdfu verify dfu_application.zip -k key.pub.pem --net-key nsib.pub.pem", "each image of a package"),
    ),
    "inspect": (
        ("smpdfu inspect app.signed.bin", "header, TLVs and trailer"),
        ("smpdfu inspect dfu_application.zip", "what a package holds"),
        ("smpdfu inspect dfu_application.zip --net-key net_provision.hex", "and who sealed the network image"),
    ),
    "key": (
        ("smpdfu key gen -k key.pem -t ecdsa-p256", "make a key"),
        ("smpdfu key pub -k key.pem -e pem -o key.pub.pem", "write its public half"),
    ),
    "key gen": (("smpdfu key gen -k key.pem -t ecdsa-p256", "make a key"),),
    "key pub": (("smpdfu key pub -k key.pem -e pem -o key.pub.pem", "write the public half"),),
    "key pubhash": (("smpdfu key pubhash -k key.pem", "as C source"),),
    "key priv": (("smpdfu key priv -k enc.pem -o enc_key.c", "for a bootloader that decrypts"),),
    "key info": (("smpdfu key info -k key.pem", "the type and the hash of a key"),),
    "virtual": (
        ("smpdfu virtual new desk --demo", "make a board to try, with firmware and two packages"),
        ("smpdfu virtual run desk", "serve it at a serial port, until you press Ctrl-C"),
        ("smpdfu virtual delete desk", "delete it"),
    ),
    "virtual new": (
        ("smpdfu virtual new desk --demo", "a board to try, with firmware and two packages"),
        ("smpdfu virtual new desk --build build", "the board of your build folder, with its firmware"),
        ("smpdfu virtual new desk -k key.pub.pem --app app_update.bin", "a board that runs your own image"),
        (
            "smpdfu virtual new desk --layout nrf5340dk-xip-split -k key.pub.pem --app app.bin --external external.bin",
            "an application in two halves (QSPI XIP)",
        ),
        (
            "smpdfu virtual new desk --layout nrf5340dk-firmware-loader -k key.pem --app app.bin --loader loader.bin",
            "one slot, and a firmware loader that updates it",
        ),
    ),
    "virtual run": (
        ("smpdfu virtual run desk", "at a serial port, until you press Ctrl-C"),
        ("smpdfu virtual run desk --udp 1337", "at a UDP port"),
    ),
    "virtual reset": (
        ("smpdfu virtual reset desk", "turn it off and on"),
        ("smpdfu virtual reset desk --button", "start its firmware loader"),
    ),
    "virtual show": (("smpdfu virtual show desk", "both cores, slots and trailers"),),
    "virtual log": (("smpdfu virtual log desk -n 20", "the last 20 lines of its console"),),
    "virtual delete": (("smpdfu virtual delete desk", "delete it and the journal of its updates"),),
    "virtual load": (
        ("smpdfu virtual load desk merged.hex", "as a debugger does"),
        ("smpdfu virtual load desk app_update.bin --region secondary", "into another slot"),
    ),
    "virtual dump": (("smpdfu virtual dump desk --region primary -o primary.bin", "write a slot to a file"),),
    "virtual cut": (
        ("smpdfu virtual cut desk --after 100", "the power fails in the next update"),
        ("smpdfu virtual cut desk --off", "cancel it"),
    ),
    "virtual list": (("smpdfu virtual list", "all virtual devices"),),
    "tutorial": (("smpdfu tutorial", "the first commands, one after the other"),),
    "doctor": (("smpdfu doctor --only serial", "check only the serial ports"),),
    "decode": (("smpdfu decode frames.log", "show a log that --log has written"),),
    "profiles": (("smpdfu profiles", "the profiles of smpdfu.toml"),),
}
"""By the command's words: the command to type, and what it does."""
