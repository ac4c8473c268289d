"""JSON Web Tokens for tests, signed with the openssl program."""

import base64
import hashlib
import hmac
import json
import pathlib
import subprocess
import time

SECRET = "a-secret-of-thirty-two-bytes-or-more"
ISSUER, AUDIENCE = "https://id.example", "gptcache"


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def part(value) -> str:
    return encode(json.dumps(value).encode())


def claims(**changes) -> dict:
    body = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "alice",
        "exp": int(time.time()) + 600,
        "tenant": "acme",
        "role": "client",
        **changes,
    }
    return {name: value for name, value in body.items() if value is not None}


def hs256(body: dict, secret: str = SECRET, **header) -> str:
    message = part({"alg": "HS256", "typ": "JWT", **header}) + "." + part(body)
    return message + "." + encode(hmac.digest(secret.encode(), message.encode(), hashlib.sha256))


def openssl(*arguments: str, data: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True).stdout


class Signer:
    """A key pair in a file and its public half as a JWK."""

    def __init__(self, folder: pathlib.Path, algorithm: str, kid: str):
        self.algorithm, self.kid, self.path = algorithm, kid, folder / f"{kid}.pem"
        kind = (
            ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]
            if algorithm == "RS256"
            else ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        )
        openssl("genpkey", "-algorithm", *kind, "-out", str(self.path))

    def jwk(self) -> dict:
        der = openssl("pkey", "-in", str(self.path), "-pubout", "-outform", "DER")
        common = {"kid": self.kid, "use": "sig", "alg": self.algorithm}
        if self.algorithm == "ES256":
            return {
                **common,
                "kty": "EC",
                "crv": "P-256",
                "x": encode(der[-64:-32]),
                "y": encode(der[-32:]),
            }
        # SubjectPublicKeyInfo of a 2048-bit key: the modulus stands before the exponent 65537.
        assert der.endswith(b"\x02\x03\x01\x00\x01")
        return {**common, "kty": "RSA", "n": encode(der[-5 - 256 : -5]), "e": "AQAB"}

    def sign(self, body: dict, **header) -> str:
        message = part({"alg": self.algorithm, "kid": self.kid, **header}) + "." + part(body)
        signature = openssl("dgst", "-sha256", "-sign", str(self.path), data=message.encode())
        return message + "." + encode(signature if self.algorithm == "RS256" else raw_of(signature))


def raw_of(der: bytes) -> bytes:
    """r and s of an ECDSA signature, 32 bytes each."""
    out, at = b"", 2
    for _ in range(2):
        size = der[at + 1]
        out += der[at + 2 : at + 2 + size].lstrip(b"\0").rjust(32, b"\0")
        at += 2 + size
    return out
