"""Certificates for hosts of the laboratory: an authority of its own, and leaves that are good, old, or somebody else's."""
import datetime
import hashlib
import ipaddress
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID


def _alternative(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(base, certificates, key):
    pem = b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)
    base.with_suffix(".pem").write_bytes(pem)
    base.with_suffix(".key").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


class Leaf:
    """certificate, key: paths; pair: both; spki: SHA-256 of the public key, as "3 1 1" wants it."""

    def __init__(self, base, key):
        self.certificate, self.key = base.with_suffix(".pem"), base.with_suffix(".key")
        self.pair = self.certificate, self.key
        public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.spki = hashlib.sha256(public).hexdigest()


class Authority:
    """An authority in a folder; its certificate is at .certificate."""

    def __init__(self, folder, name="Laboratory CA"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.own = self._sign(self.name, self.private.public_key(), 3650,
                              [(x509.BasicConstraints(ca=True, path_length=None), True)])
        base = self.folder / name.lower().replace(" ", "-")
        _write(base, [self.own], self.private)
        self.certificate = base.with_suffix(".pem")

    def _sign(self, subject, public, days, extensions, begins=datetime.timedelta(days=-60)):
        now = datetime.datetime.utcnow()
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(public)
                   .serial_number(x509.random_serial_number()).not_valid_before(now + begins)
                   .not_valid_after(now + datetime.timedelta(days=days)))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.private, hashes.SHA256())

    def leaf(self, name, names, days=30, rsa_bits=0, must_staple=False, begins=datetime.timedelta(days=-60)):
        """A certificate for DNS names or addresses, with this authority behind it; negative days: one that has ended;
        begins: when it holds, from now."""
        private = rsa.generate_private_key(65537, rsa_bits) if rsa_bits else ec.generate_private_key(ec.SECP256R1())
        alternatives = x509.SubjectAlternativeName([_alternative(n) for n in names])
        own = self._sign(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), private.public_key(), days,
                         [(alternatives, False), *([(x509.TLSFeature([x509.TLSFeatureType.status_request]), False)]
                                                   if must_staple else [])], begins)
        _write(self.folder / name, [own, self.own], private)
        return Leaf(self.folder / name, private)
