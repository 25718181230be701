"""Key stores of three clouds, on this machine: they answer the clouds' own clients, with keys of ours.

AWS is an HTTP server that speaks KMS' JSON, reached by boto3. Google is a gRPC server with the real service's messages.
Azure is a pair of stand-ins for the two client classes: its client insists on HTTPS and a login.
"""

from __future__ import annotations

import json
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from typing import Any

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from smpdfu.image.keys.keys import PrivateKey

AWS_ALGORITHMS = {
    "ecdsa-p256": ["ECDSA_SHA_256"],
    "ecdsa-p384": ["ECDSA_SHA_384"],
    "rsa-2048": ["RSASSA_PKCS1_V1_5_SHA_256", "RSASSA_PSS_SHA_256"],
    "rsa-3072": ["RSASSA_PKCS1_V1_5_SHA_256", "RSASSA_PSS_SHA_256"],
}


@dataclass
class KeyStore:
    """One key, what it was asked for, and who signs in its place when something is wrong with it."""

    key: PrivateKey
    asked: list[str] = field(default_factory=list)
    signer: PrivateKey | None = None

    def sign(self, digest: bytes) -> bytes:
        return (self.signer or self.key).sign_digest(digest)

    def spki(self) -> bytes:
        found: bytes = self.key.raw.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return found


# --- AWS ------------------------------------------------------------------------------------------------------------


@contextmanager
def aws_kms(store: KeyStore) -> Iterator[str]:
    """The URL of an AWS KMS that has this key."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            action = self.headers["X-Amz-Target"].partition(".")[2]
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            store.asked.append(f"{action} {request['KeyId']}")
            code, answer = aws_answer(store, action, request)
            body = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads a log here."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def aws_answer(store: KeyStore, action: str, request: dict[str, str]) -> tuple[int, dict[str, Any]]:
    if request["KeyId"] != "alias/release":
        return 400, {"__type": "NotFoundException", "message": f"{request['KeyId']} is not found."}
    algorithms = AWS_ALGORITHMS[store.key.kind.name]
    if action == "GetPublicKey":
        return 200, {"PublicKey": b64encode(store.spki()).decode(), "SigningAlgorithms": algorithms}
    assert request["MessageType"] == "DIGEST"
    assert request["SigningAlgorithm"] in algorithms
    assert "PKCS1" not in request["SigningAlgorithm"]
    return 200, {"Signature": b64encode(store.sign(b64decode(request["Message"]))).decode()}


# --- Google ---------------------------------------------------------------------------------------------------------

GOOGLE_ALGORITHMS = {
    "ecdsa-p256": "EC_SIGN_P256_SHA256",
    "ecdsa-p384": "EC_SIGN_P384_SHA384",
    "rsa-2048": "RSA_SIGN_PSS_2048_SHA256",
    "rsa-3072": "RSA_SIGN_PSS_3072_SHA256",
}


@contextmanager
def google_kms(store: KeyStore, algorithm: str | None = None) -> Iterator[Any]:
    """What makes a real Google KMS client, connected to a server here that has this key."""
    from google.cloud import kms
    from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcTransport

    grpc: Any = import_module("grpc")
    algorithms: Any = kms.CryptoKeyVersion.CryptoKeyVersionAlgorithm
    chosen = algorithms[algorithm or GOOGLE_ALGORITHMS[store.key.kind.name]]

    def get_public_key(request: Any, context: Any) -> Any:
        store.asked.append(f"GetPublicKey {request.name}")
        if "release" not in request.name:
            context.abort(grpc.StatusCode.NOT_FOUND, f"{request.name} not found.")
        pem = store.key.to_pem()
        return kms.PublicKey(public_key=kms.ChecksummedData(data=pem), algorithm=chosen)

    def asymmetric_sign(request: Any, _: Any) -> Any:
        store.asked.append(f"AsymmetricSign {request.name}")
        digest = request.digest.sha256 or request.digest.sha384
        return kms.AsymmetricSignResponse(signature=store.sign(digest))

    def method(function: Any, request: Any, response: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(
            function, request_deserializer=request.deserialize, response_serializer=response.serialize
        )

    server = grpc.server(ThreadPoolExecutor(2))
    methods = {
        "GetPublicKey": method(get_public_key, kms.GetPublicKeyRequest, kms.PublicKey),
        "AsymmetricSign": method(asymmetric_sign, kms.AsymmetricSignRequest, kms.AsymmetricSignResponse),
    }
    service = grpc.method_handlers_generic_handler("google.cloud.kms.v1.KeyManagementService", methods)
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    real_client = kms.KeyManagementServiceClient
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    try:
        yield lambda: real_client(transport=KeyManagementServiceGrpcTransport(channel=channel))
    finally:
        channel.close()
        server.stop(None).wait()


# --- Azure ----------------------------------------------------------------------------------------------------------

AZURE_CURVES = {"ecdsa-p256": ("P-256", 32), "ecdsa-p384": ("P-384", 48)}
AZURE_VERSION = "0123456789abcdef"


@dataclass
class FakeKeyClient:
    """Stands for azure.keyvault.keys.KeyClient; its answers are the real classes."""

    store: KeyStore
    vault_url: str

    def get_key(self, name: str) -> Any:
        from azure.core.exceptions import ResourceNotFoundError
        from azure.keyvault.keys import KeyVaultKey

        self.store.asked.append(f"get_key {self.vault_url} {name}")
        if name != "release":
            raise ResourceNotFoundError(f"(KeyNotFound) A key with (name/id) {name} was not found in this key vault.")
        key_id = f"{self.vault_url}keys/{name}/{AZURE_VERSION}"
        if self.store.key.kind.name not in AZURE_CURVES:
            return KeyVaultKey(key_id, jwk={"kty": "RSA"})
        curve, size = AZURE_CURVES[self.store.key.kind.name]
        point = self.store.key.raw.public_key().public_numbers()
        x, y = point.x.to_bytes(size, "big"), point.y.to_bytes(size, "big")
        return KeyVaultKey(key_id, jwk={"kid": key_id, "kty": "EC", "crv": curve, "x": x, "y": y})


@dataclass
class FakeCryptographyClient:
    """Stands for azure.keyvault.keys.crypto.CryptographyClient: signs as Azure does, with two bare numbers."""

    store: KeyStore
    key_id: str

    def sign(self, algorithm: Any, digest: bytes) -> Any:
        from azure.keyvault.keys.crypto import SignResult

        self.store.asked.append(f"sign {self.key_id}")
        size = AZURE_CURVES[self.store.key.kind.name][1]
        numbers = decode_dss_signature(self.store.sign(digest))
        return SignResult(self.key_id, algorithm, b"".join(number.to_bytes(size, "big") for number in numbers))
