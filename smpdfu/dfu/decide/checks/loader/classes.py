"""The checks of a package against bootloaders that go by class UUIDs (MCUBOOT_UUID_CID); see ``preflight``.

Only the staged scheme from NCS 3.4 on has them, and no answer of a device tells. An image that names a class is made
for one, so the package of such an image is followed through those builds, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from smpdfu.dfu.decide.checks.findings import Finding, Severity
from smpdfu.dfu.decide.checks.loaders import LoaderCheck, app_home, builds_of, net_home, seen_of, target_of
from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.package.images import Core, PackageImage
from smpdfu.dfu.package.package import Package
from smpdfu.loaders.fate import Fate, fate
from smpdfu.loaders.rules import Build, Target, titles


def _is_installed_by_its_class(package: Package, state: DeviceState) -> Iterator[Finding]:
    builds = _builds(state)
    if not builds or all(target_of(image) is Target.UNNAMED for image in package.images):
        return
    for image in package.images:
        home = app_home(image, state) if image.core is Core.APP else net_home(image, state)
        net = home if image.core is Core.NET else net_home(image, state)
        hit = [build for build in builds if fate(build, seen_of(image), home, net) is Fate.LEFT]
        if hit:
            yield _left(image, hit)


def _builds(state: DeviceState) -> list[Build]:
    """Those that go by class UUIDs among the bootloaders that the device may have."""
    told = (replace(one, by_uuid=True, checks_header=False, checks_vector=False) for one in builds_of(state))
    return [build for build in told if build.goes_by_class and build.rule.application_by_uuid is not None]


def _left(image: PackageImage, hit: list[Build]) -> Finding:
    who = f"a bootloader of {titles({build.loader for build in hit})} that goes by class UUIDs (MCUBOOT_UUID_CID)"
    if target_of(image) is Target.UNNAMED:
        text = f"{image.file} names no class, and {who} leaves it in the slot and never installs it"
        advice, facts = "Sign it with its class.", {"class": "missing"}
    else:
        text = f"{image.file} names its class, and {who} never installs an application"
        advice, facts = "If the bootloader of this device goes by class UUIDs, its application needs a debugger.", {}
    return Finding("class", Severity.WARNING, text, advice, image.core, facts)


CLASS_CHECKS: tuple[LoaderCheck, ...] = (_is_installed_by_its_class,)
