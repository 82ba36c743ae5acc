"""Messages to send, and people who receive them: certificates and keys made with the ordinary tools."""
import base64
import os
import pathlib
import secrets
import subprocess
import tempfile

PHI = ("Patient John Miller, MRN 4815162342, DOB 03/14/1961, was admitted with type 2 diabetes mellitus.\r\n"
       "Diagnosis: hypertension. SSN 536-22-8145.\r\n")


def make(text, recipients=("someone@example.test",), subject="Greetings", extra=""):
    """A message as bytes, and its Message-ID."""
    message_id = f"<{secrets.token_hex(8)}@tenant.test>"
    head = (f"From: Doctor <dr@tenant.test>\r\nTo: {', '.join(recipients)}\r\nSubject: {subject}\r\n"
            f"Message-ID: {message_id}\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\n{extra}"
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n")
    return (head + text).encode(), message_id


class SmimePerson:
    """A recipient with a certificate; opens mail with openssl, or gpgsm."""

    def __init__(self, folder, address, algorithm="rsa:2048"):
        base = pathlib.Path(folder) / address
        self.address, self.certificate, self.key = address, base.with_suffix(".pem"), base.with_suffix(".key")
        names = f"email.1={address}" if address.isascii() else f"otherName.1=1.3.6.1.5.5.7.8.9;FORMAT:UTF8,UTF8:{address}"
        config = base.with_suffix(".cnf")  # RFC 9598 for who is not ASCII
        config.write_text("[req]\ndistinguished_name=dn\nx509_extensions=ext\n[dn]\n[ext]\nsubjectAltName=@names\n"
                          f"keyUsage=digitalSignature,keyEncipherment,keyAgreement\n[names]\n{names}\n")
        kind = ["rsa:2048"] if algorithm == "rsa:2048" else ["ec", "-pkeyopt", f"ec_paramgen_curve:{algorithm}"]
        subprocess.run(["openssl", "req", "-x509", "-newkey", *kind, "-nodes", "-days", "365", "-utf8", "-keyout", self.key,
                        "-out", self.certificate, "-subj", f"/CN={address}", "-config", config], check=True,
                       capture_output=True)

    def open(self, message):
        """The decrypted inner entity (a signed one, as a rule) as bytes."""
        done = subprocess.run(["openssl", "cms", "-decrypt", "-recip", self.certificate, "-inkey", self.key],
                              input=message, capture_output=True)
        if done.returncode != 0:
            raise ValueError(done.stderr.decode())
        return done.stdout

    def open_with_gpgsm(self, message):
        """The same as open by another implementation, which has the key alone and a home of its own."""
        with tempfile.TemporaryDirectory(prefix="sp-gpgsm-", dir="/tmp") as home:  # a short name: its agent's socket
            environment = {**os.environ, "GNUPGHOME": home}
            bundle = subprocess.run(["openssl", "pkcs12", "-export", "-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES",
                                     "-macalg", "sha1", "-inkey", self.key, "-in", self.certificate, "-passout", "pass:x"],
                                    check=True, capture_output=True).stdout
            path, sealed = pathlib.Path(home) / "key.p12", pathlib.Path(home) / "sealed.der"
            path.write_bytes(bundle)
            sealed.write_bytes(base64.b64decode(message.split(b"\r\n\r\n", 1)[1]))
            common = ["gpgsm", "--batch", "--pinentry-mode", "loopback", "--passphrase-fd", "0", "--disable-crl-checks"]
            try:
                subprocess.run([*common, "--import", path], env=environment, input=b"x\n", capture_output=True, check=True)
                done = subprocess.run([*common, "--decrypt", sealed], env=environment, input=b"x\n", capture_output=True,
                                      check=False)
            finally:
                subprocess.run(["gpgconf", "--kill", "all"], env=environment, check=False)
        if done.returncode != 0:
            raise ValueError(done.stderr.decode())
        return done.stdout

    @staticmethod
    def verify(signed, ca):
        """The content of a signed entity whose signature holds and chains to ca."""
        done = subprocess.run(["openssl", "cms", "-verify", "-CAfile", ca, "-purpose", "any"], input=signed,
                              capture_output=True)
        if done.returncode != 0:
            raise ValueError(done.stderr.decode())
        return done.stdout


class PgpPerson:
    """A recipient with an OpenPGP key; opens mail with gpg."""

    def __init__(self, folder, address):
        self.address = address
        self.home = pathlib.Path(folder) / f"gpg-{address.split('@')[0]}"
        self.home.mkdir(mode=0o700)
        self.environment = {**os.environ, "GNUPGHOME": str(self.home)}
        self.gpg("--passphrase", "", "--quick-generate-key", f"<{address}>", "future-default", "default", "never")
        self.key = self.home / "public.asc"
        self.key.write_bytes(self.gpg("--armor", "--export"))

    def gpg(self, *words, data=None):
        done = subprocess.run(["gpg", "--batch", "--quiet", *words], env=self.environment, input=data, capture_output=True)
        if done.returncode != 0:
            raise ValueError(done.stderr.decode())
        return done.stdout

    def open(self, message, signer=None):
        """The decrypted inner entity of a PGP/MIME message; with signer (a key file), its signature must be good."""
        begin = message.index(b"-----BEGIN PGP MESSAGE-----")
        end = message.index(b"-----END PGP MESSAGE-----") + len(b"-----END PGP MESSAGE-----")
        if signer:
            self.gpg("--import", str(signer))
        done = subprocess.run(["gpg", "--batch", "--quiet", "--status-fd", "2", "--decrypt"], env=self.environment,
                              input=message[begin:end] + b"\r\n", capture_output=True)
        if b"DECRYPTION_OKAY" not in done.stderr or signer and b"GOODSIG" not in done.stderr:
            raise ValueError(done.stderr.decode())
        return done.stdout

    def close(self):
        subprocess.run(["gpgconf", "--kill", "all"], env=self.environment, check=False)
