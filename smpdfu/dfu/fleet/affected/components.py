"""Which components a person means by a text: a name, a package URL or a CPE, with a version or a range."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from smpdfu.dfu.fleet.affected.versions import VersionRange

_CPE23, _CPE22 = "cpe:2.3:", "cpe:/"
_ANY = frozenset({"", "*", "-"})


@dataclass(frozen=True, slots=True)
class Component:
    """A component of an SBOM. ``group`` may stand before the name; empty texts: the SBOM does not say."""

    name: str
    version: str = ""
    group: str = ""
    purls: tuple[str, ...] = ()
    cpes: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """``mbedtls@3.6.1``."""
        return f"{self.name}@{self.version}" if self.version else self.name


@dataclass(frozen=True, slots=True)
class ComponentQuery:
    """What is asked for: ``text`` as it was given, ``name`` the part before the version, in lower case."""

    text: str
    name: str
    versions: VersionRange

    @classmethod
    def from_text(cls, text: str) -> ComponentQuery:
        """Read ``NAME``, ``NAME@VERSION``, a package URL or a CPE. Raises ValueError."""
        given = text.strip()
        if given.lower().startswith((_CPE23, _CPE22)):
            version = _cpe(given)[2]
            return cls(text, given.lower(), VersionRange() if version in _ANY else VersionRange.from_text(version))
        if given.lower().startswith("pkg:"):
            given = given.partition("#")[0].partition("?")[0]
        name, sign, version = given.rpartition("@")
        if not sign or not name:
            name, version = given, ""
        if not name or (sign and not version and given.endswith("@")):
            raise ValueError(f"{text!r} is no NAME and no NAME@VERSION")
        return cls(text, unquote(name).lower(), VersionRange.from_text(unquote(version)) if version else VersionRange())

    def matches(self, one: Component) -> bool | None:
        """Return whether a component is meant; None if its version cannot be compared, or its name is all it has."""
        if self.names(one):
            return self.versions.holds(one.version or _version_of(one))
        if self.may_name(one) and self.versions.holds(one.version or _version_of(one)) is not False:
            return None
        return False

    def has_version_of(self, one: Component) -> bool:
        """Return whether a component has, or may have, this name, and has the version that is asked for."""
        return (self.names(one) or self.may_name(one)) and self.versions.holds(one.version or _version_of(one)) is True

    def may_name(self, one: Component) -> bool:
        """Return whether a component without identifiers of the wanted kind has the name that is in the identifier."""
        if self.name.startswith((_CPE23, _CPE22)):
            return not one.cpes and _letters(_cpe(self.name)[1]) in _plain_names(one)
        if self.name.startswith("pkg:"):
            return not one.purls and _letters(self.name.rpartition("/")[2]) in _plain_names(one)
        return False

    def names(self, one: Component) -> bool:
        """Return whether a component has this name, in any version."""
        if self.name.startswith((_CPE23, _CPE22)):
            cpe = _cpe(self.name)[:2]
            return any(_alike(cpe, _cpe(other)[:2]) for other in one.cpes)
        if self.name.startswith("pkg:"):
            return any(self.name == _purl(purl)[0] for purl in one.purls)
        wanted = _letters(self.name)
        return wanted in _plain_names(one) if wanted else self.name == one.name.lower()

    def is_near(self, one: Component) -> bool:
        """Return whether a person may have meant this component: one name is in the other, but for signs."""
        wanted, name = (_letters(text.rpartition("/")[2]) for text in (self.name, one.name))
        return bool(wanted and name) and (wanted in name or name in wanted)


def _plain_names(one: Component) -> set[str]:
    """All names of a component, as ``_letters``: SBOMs write ``Mbed TLS``, ``mbed-tls`` and ``mbedtls``."""
    names = {one.name, f"{one.group}/{one.name}"}
    names |= {_purl(purl)[0].rpartition("/")[2] for purl in one.purls}
    names |= {_cpe(cpe)[1] for cpe in one.cpes}
    return {_letters(name) for name in names} - {""}


def _letters(text: str) -> str:
    """Letters, digits and ``+`` (``libc++``) only, in lower case."""
    return "".join(one for one in text.lower() if one.isalnum() or one == "+")


def _version_of(one: Component) -> str:
    """The version in a package URL or a CPE, where the component has none itself."""
    found = [*(_purl(purl)[1] for purl in one.purls), *(_cpe(cpe)[2] for cpe in one.cpes)]
    return next((version for version in found if version not in _ANY), "")


def _purl(text: str) -> tuple[str, str]:
    """Name with type and namespace, and version, of a package URL."""
    whole = text.partition("#")[0].partition("?")[0]
    name, sign, version = whole.rpartition("@")
    return (unquote(name if sign else whole).lower(), unquote(version) if sign else "")


def _cpe(text: str) -> tuple[str, str, str]:
    """Vendor, product and version of a CPE 2.3 or 2.2 name (NIST IR 7695)."""
    if text.lower().startswith(_CPE23):
        fields = text[len(_CPE23) :].replace("\\:", "\0").split(":")
    else:
        fields = text[len(_CPE22) :].split(":") if text.lower().startswith(_CPE22) else []
    vendor, product, version = (_plain(field) for field in (*fields[1:4], "", "", "")[:3])
    return vendor.lower(), product.lower(), version


def _plain(field: str) -> str:
    return unquote(field).replace("\\", "").replace("\0", ":")


def _alike(wanted: tuple[str, str], found: tuple[str, str]) -> bool:
    return found[1] != "" and all(
        one in _ANY or other in _ANY or one == other for one, other in zip(wanted, found, strict=True)
    )
