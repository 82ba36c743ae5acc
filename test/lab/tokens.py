"""Tokens of an issuer, good and bad, and its key set, made with PyJWT. As a program: writes keys.json and a file a token into a
folder; what begins with ok is good, with no proves nothing, with bad is no token."""
import base64
import json
import pathlib
import sys
import time

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ISSUER, AUDIENCE = "https://login.example/", "smtp.gateway.example"


def url64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(n, size=None):
    return url64(n.to_bytes(size or (n.bit_length() + 7) // 8, "big"))


class Issuer:
    """Keys of each kind under the ids rsa, ec and ed."""

    def __init__(self):
        self.keys = {"rsa": rsa.generate_private_key(65537, 2048), "ec": ec.generate_private_key(ec.SECP256R1()),
                     "ed": ed25519.Ed25519PrivateKey.generate()}

    def key_set(self, **more):
        r, e = self.keys["rsa"].public_key().public_numbers(), self.keys["ec"].public_key().public_numbers()
        raw = self.keys["ed"].public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return {"keys": [{"kty": "RSA", "kid": "rsa", "use": "sig", "alg": "RS256", "n": number(r.n), "e": number(r.e)},
                         {"kty": "EC", "kid": "ec", "crv": "P-256", "x": number(e.x, 32), "y": number(e.y, 32)},
                         {"kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": url64(raw)},
                         {"kty": "RSA", "kid": "enc", "use": "enc", "n": number(r.n), "e": number(r.e)},
                         {"kty": "oct", "kid": "hmac", "k": "AAAA"}], **more}

    def claims(self, **change):
        now = int(time.time())
        made = {"iss": ISSUER, "aud": AUDIENCE, "sub": "app-1", "iat": now, "nbf": now, "exp": now + 600, **change}
        return {k: v for k, v in made.items() if v is not None}

    def token(self, key="rsa", header=None, algorithm=None, **change):
        algorithm = algorithm or {"rsa": "RS256", "ec": "ES256", "ed": "EdDSA"}[key]
        return jwt.encode(self.claims(**change), self.keys[key], algorithm, {"kid": key, **(header or {})})


def cases(issuer):
    now = time.time()
    token = issuer.token()
    head, body, signature = token.split(".")
    part = lambda **fields: url64(json.dumps(fields).encode())  # noqa: E731
    pem = issuer.keys["rsa"].public_key().public_bytes(serialization.Encoding.DER,
                                                       serialization.PublicFormat.SubjectPublicKeyInfo)
    return {
        "ok-rsa": token, "ok-ec": issuer.token("ec"), "ok-ed": issuer.token("ed"),
        "ok-no-kid": jwt.encode(issuer.claims(), issuer.keys["ec"], "ES256"),
        "ok-audiences": issuer.token(aud=["other", AUDIENCE]), "ok-late": issuer.token(exp=int(now) - 30),
        "ok-early": issuer.token(nbf=int(now) + 30), "ok-fraction": issuer.token(exp=now + 100.5),
        "ok-no-nbf": issuer.token(nbf=None),
        "no-expired": issuer.token(exp=int(now) - 120), "no-early": issuer.token(nbf=int(now) + 600),
        "no-future": issuer.token(iat=int(now) + 600), "no-end": issuer.token(exp=None),
        "no-end-text": f"{head}.{part(iss=ISSUER, aud=AUDIENCE, sub='app-1', exp='9999999999')}.{signature}",
        "no-issuer": issuer.token(iss="https://login.example"), "no-issuer-absent": issuer.token(iss=None),
        "no-audience": issuer.token(aud="smtp.gateway.example.org"), "no-audience-absent": issuer.token(aud=None),
        "no-audiences": issuer.token(aud=["a", "b"]), "no-user": issuer.token(sub=None),
        "no-other-key": Issuer().token(), "no-kid": issuer.token(header={"kid": "other"}),
        "no-kid-of-another": issuer.token("ec", header={"kid": "rsa"}), "no-use": issuer.token(header={"kid": "enc"}),
        "no-algorithm": issuer.token(algorithm="RS512"), "no-pss": issuer.token(algorithm="PS256"),
        "no-none": f"{part(alg='none')}.{body}.", "no-none-kid": f"{part(alg='none', kid='rsa')}.{body}.{signature}",
        "no-hmac": jwt.encode(issuer.claims(), pem, "HS256", {"kid": "rsa"}),
        "no-crit": issuer.token(header={"crit": ["exp"]}), "no-kid-number": f"{part(alg='RS256', kid=1)}.{body}.{signature}",
        "no-body": f"{head}.{part(**issuer.claims(sub='root'))}.{signature}",
        "no-signature": f"{head}.{body}.{url64(bytes(256))}", "no-signature-short": f"{head}.{body}.{signature[:-2]}",
        "no-signature-empty": f"{head}.{body}.",
        "no-der": f"{issuer.token('ec').rsplit('.', 1)[0]}.{url64(bytes.fromhex('3006020101020101'))}",
        "bad-empty": "x", "bad-two": f"{head}.{body}", "bad-four": f"{token}.x", "bad-base64": f"{head}.{body}.a+b/",
        "bad-header": f"{url64(b'[]')}.{body}.{signature}", "bad-claims": f"{head}.{url64(b'{')}.{signature}",
        "bad-long": head + "." + "A" * 8200 + "." + signature}


if __name__ == "__main__":
    folder, made = pathlib.Path(sys.argv[1]), Issuer()
    (folder / "keys.json").write_text(json.dumps(made.key_set()))
    for name, text in cases(made).items():
        (folder / (name + ".token")).write_text(text)
