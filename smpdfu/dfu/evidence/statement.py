"""The provenance of a package: an in-toto statement (v1) with SLSA's provenance (v1) as its predicate.

``in-toto-attestation`` has the types. What each field holds is in docs/reference/file-formats.md, "Provenance".
Sources: in-toto attestation framework, spec/v1/statement.md; SLSA 1.0, provenance.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance as ProvenanceMessage
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement

from smpdfu import __version__
from smpdfu.dfu.evidence.attested import KIND, PACKAGE, Attested, Subject
from smpdfu.dfu.evidence.builder import Builder
from smpdfu.errors import EvidenceError, FormatError
from smpdfu.untrusted import jsontext

BUILD_TYPE = "urn:smpdfu:package:1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
MAX_SUBJECTS = 256
MAX_STATEMENT_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file or a source by its digests: name of the algorithm (``sha256``, ``gitCommit``) and value in hex.

    ``notes`` say what it is for.
    """

    name: str
    digests: Mapping[str, str]
    uri: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProvenanceSource:
    """What is attested: what was made (``subjects``) of what (``materials``), how (``parameters``) and by whom.

    ``build`` is what the build folder says of itself.
    """

    subjects: tuple[Artifact, ...]
    materials: tuple[Artifact, ...]
    parameters: Mapping[str, str | bool]
    builder: Builder
    build: Mapping[str, str] = field(default_factory=dict)


def statement_bytes(source: ProvenanceSource) -> bytes:
    """The statement, as the payload that is signed: JSON with sorted keys, always the same bytes."""
    predicate = ProvenanceMessage()
    definition, details, builder = predicate.build_definition, predicate.run_details, source.builder
    definition.build_type = BUILD_TYPE
    definition.external_parameters.update(source.parameters)
    inner = {name: dict(facts) for name, facts in (("ci", builder.facts), ("build", source.build)) if facts}
    definition.internal_parameters.update(inner)
    definition.resolved_dependencies.extend(_descriptors(source.materials))
    details.builder.id = builder.id
    details.builder.version["smpdfu"] = __version__
    if builder.invocation:
        details.metadata.invocation_id = builder.invocation
    statement = Statement(_descriptors(source.subjects), PREDICATE_TYPE, MessageToDict(predicate))
    statement.validate()
    return json.dumps(MessageToDict(statement.pb), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _descriptors(artifacts: Sequence[Artifact]) -> list[Any]:
    return [
        ResourceDescriptor(one.name, one.uri, dict(one.digests), annotations=dict(one.notes)).pb for one in artifacts
    ]


def read_statement(payload: bytes) -> Attested:
    """Read the payload of an envelope whose signature is checked. Raises EvidenceError."""
    try:
        return _attested(jsontext.load(payload, MAX_STATEMENT_BYTES))
    except (FormatError, ParseError, ValueError, TypeError) as error:
        text = " ".join(str(error).split())[:200]
        raise EvidenceError(f"this is no in-toto statement with a provenance: {text}").because("statement") from None


def _attested(found: dict[str, Any]) -> Attested:
    kind = found.get("predicateType")
    if kind != PREDICATE_TYPE:
        raise FormatError(f"its predicate is {str(kind)[:80]!r}, not {PREDICATE_TYPE}")
    statement = Statement([], "", {})
    statement.pb.Clear()  # the class sets the type, and a statement without one must not get it
    ParseDict(found, statement.pb)
    statement.validate()
    predicate = ParseDict(found["predicate"], ProvenanceMessage(), ignore_unknown_fields=True)
    definition, details = predicate.build_definition, predicate.run_details
    if not definition.build_type or not details.builder.id:
        raise FormatError("it names no builder or no build type")
    if len(statement.pb.subject) > MAX_SUBJECTS:
        raise FormatError(f"it has more than {MAX_SUBJECTS} subjects")
    subjects = tuple(_subject(one) for one in statement.pb.subject)
    if len({(one.name, one.package) for one in subjects}) != len(subjects):
        raise FormatError("two subjects have the same name")
    invocation = details.metadata.invocation_id
    return Attested(subjects, details.builder.id, definition.build_type, invocation, found["predicate"])


def _subject(one: Any) -> Subject:
    digest = one.digest.get("sha256", "")
    if not one.name or re.fullmatch("[0-9a-f]{64}", digest) is None:
        raise FormatError("a subject has no name, or no SHA-256")
    notes = MessageToDict(one.annotations)
    return Subject(one.name, digest, *(str(notes.get(key, "")) for key in (KIND, PACKAGE)))
