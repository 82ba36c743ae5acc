"""Looks for markers where they must not be: everything that a gateway has written, logged or shows of its processes.

    leaks.assert_none(gateway, {"subject": "MARKER-1", "body": "MARKER-2"})       # in all that the gateway keeps
    leaks.assert_none(gateway, leaks.keys_of(gateway), leaks.KEY_PLACES)          # its own keys too
    leaks.assert_not_in(sink.wire, {"body": "MARKER-2"})                           # in bytes from elsewhere

A marker is found in any of these forms: as it is, folded by a transfer encoding (base-64 at each of the three
alignments, base-64 for URLs, quoted-printable), in hexadecimal, escaped for URLs or JSON, and as UTF-16; and across the
line breaks and soft line breaks that such encodings put in.
"""
import base64
import collections
import json
import os
import pathlib
import re
import urllib.parse

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

Finding = collections.namedtuple("Finding", "where marker form")

CHUNK = 8 * 1024 * 1024
OVERLAP = 64 * 1024  # longer than any marker in any form
# where keys lie by design: gpg-agent's folder has a tenant's signing key, the supervisor keeps each role's bundle
KEY_PLACES = re.compile(r"/state/sealer/\d+/gnupg/private-keys-v1\.d/|/memfd:sallyport-bundle")
KEKS = ("content", "record", "portal")


def as_bytes(marker):
    return marker.encode() if isinstance(marker, str) else bytes(marker)


def base64_forms(marker):
    """What a marker looks like within base-64 of something longer: the characters that its own bits alone decide."""
    for before in range(3):
        bits = before * 8
        whole = base64.b64encode(b"\0" * before + marker)
        first, last = -(-bits // 6), (bits + 8 * len(marker)) // 6
        yield f"base64+{before}", whole[first:last]
        yield f"base64url+{before}", whole[first:last].translate(bytes.maketrans(b"+/", b"-_"))


def forms(marker):
    """(form, bytes, whether case does not count) for all forms in which a marker is looked for."""
    marker = as_bytes(marker)
    found = [("plain", marker, False), ("hex", marker.hex().encode(), True),
             ("quoted-printable", b"".join(b"=%02x" % c for c in marker), True),
             ("url", b"".join(b"%%%02x" % c for c in marker), True),
             *((name, text, False) for name, text in base64_forms(marker))]
    try:
        text = marker.decode()
    except UnicodeDecodeError:
        return found
    found += [("utf-16le", text.encode("utf-16-le"), False), ("utf-16be", text.encode("utf-16-be"), False)]
    if not text.isascii():
        found += [("url", urllib.parse.quote(text, safe="").encode().lower(), True),
                  ("json", text.encode("ascii", "backslashreplace").replace(b"\\x", b"\\u00").lower(), True)]
    return found


class Search:
    """The forms of some markers, ready to be looked for."""

    def __init__(self, markers):
        assert markers and all(len(as_bytes(m)) >= 6 for m in markers.values()), "chance would find so short a marker"
        self.forms = [(name, *form) for name, marker in markers.items() for form in forms(marker)]
        # digits alone, as in a code, stand between other things than digits: a time stamp is no code
        self.alone = {as_bytes(m): re.compile(rb"(?<!\d)" + as_bytes(m) + rb"(?!\d)") for m in markers.values()
                      if as_bytes(m).isdigit()}

    def is_in(self, wanted, text):
        return wanted in text and (wanted not in self.alone or self.alone[wanted].search(text) is not None)

    def data(self, where, data):
        """All findings in bytes, each marker and form once."""
        if not data.strip(b"\0"):  # a file written ahead
            return
        seen = set()
        for text in (data, data.translate(None, b"\r\n\t "), data.replace(b"=\r\n", b"").replace(b"=\n", b"")):
            lower = text.lower()
            for name, form, wanted, fold in self.forms:
                if (name, form) not in seen and self.is_in(wanted, lower if fold else text):
                    seen.add((name, form))
                    yield Finding(where, name, form)

    def file(self, where, path=None):
        """A file, a piece at a time; what has gone meanwhile holds nothing."""
        found = {}
        try:
            with open(path or where, "rb") as file:
                tail = b""
                while piece := file.read(CHUNK):
                    found.update((f, None) for f in self.data(str(where), tail + piece))
                    tail = piece[-OVERLAP:]
        except OSError:
            return
        yield from found


def processes_of(gateway):
    """The supervisor, all below it, and what a role left behind under the gateway's uids (gpg-agent)."""
    base = json.loads(pathlib.Path(gateway.info["config"]).read_text()).get("uid_base", 0) if os.getuid() == 0 else 0
    parents, owners = {}, {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            owners[int(entry.name)] = entry.stat().st_uid
        except OSError:
            continue
    found = {gateway.info["pid"]} & set(parents)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    if base:
        found |= {pid for pid, uid in owners.items() if base <= uid < base + 32}
    return sorted(found)


def open_files(pid):
    """Descriptors that no name in the file system leads to: memfds and unnamed or removed files."""
    for link in pathlib.Path(f"/proc/{pid}/fd").glob("*"):
        try:
            target = os.readlink(link)
        except OSError:
            continue
        if target.startswith("/memfd:") or target.endswith(" (deleted)"):
            yield link, target


def cores(gateway):
    """Core files of anybody, wherever a process of the gateway could have left one."""
    places = {pathlib.Path(gateway.folder)}
    for pid in processes_of(gateway):
        try:
            places.add(pathlib.Path(os.readlink(f"/proc/{pid}/cwd")))
        except OSError:
            pass
    return [path for place in places for path in place.glob("core*") if path.is_file()]


def search(gateway, markers, content=True):
    """
    Every finding of these markers in a gateway's state folder, log, core files, environments and command lines, and, with
    content, in what its processes hold open without a name. The configuration folder is no place of the gateway's own.
    """
    looking = Search(markers)
    found = []
    state = pathlib.Path(gateway.info["spool"]).parent
    for path in [pathlib.Path(gateway.info["log"]), *cores(gateway), *sorted(state.rglob("*"))]:
        found += looking.data(f"the name {path}", os.fsencode(path.name))
        if path.is_file():
            found += looking.file(path)
    for pid in processes_of(gateway):
        for what in ("environ", "cmdline", "comm"):
            found += looking.file(f"/proc/{pid}/{what}")
        for link, target in open_files(pid) if content else ():
            found += looking.file(f"{link} = {target}", link)
    return found


def assert_none(gateway, markers, allow=None, content=True):
    """No marker is anywhere but where allow (a pattern of places) lets it be."""
    found = [f for f in search(gateway, markers, content) if allow is None or not allow.search(f.where)]
    assert not found, "leaked: " + "; ".join(f"{f.marker} ({f.form}) in {f.where}" for f in found[:20])


def assert_not_in(data, markers, what="captured bytes"):
    found = list(Search(markers).data(what, bytes(data)))
    assert not found, "leaked: " + "; ".join(f"{f.marker} ({f.form}) in {f.where}" for f in found)


# ---- secrets ----

def private_part(pem):
    """The bytes of a PEM private key that nobody else can know."""
    key = serialization.load_pem_private_key(pem, None)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.private_numbers().private_value.to_bytes((key.key_size + 7) // 8, "big")
    if isinstance(key, rsa.RSAPrivateKey):
        return key.private_numbers().p.to_bytes(key.key_size // 16, "big")
    return key.private_bytes_raw()


def keys_of(gateway):
    """Every secret of an instance's configuration: name -> bytes. The password is the one that its clients log in with."""
    folder = pathlib.Path(gateway.info["config"]).parent
    found = {"password": gateway.info["password"]}
    for name in ("master.key", "audit.key"):
        found[name] = (folder / "keys" / name).read_bytes()
    for name in KEKS:
        found[f"{name}.kek"] = HKDF(hashes.SHA256(), 32, None, f"sallyport {name} kek 1".encode()).derive(found["master.key"])
    for path in [*folder.glob("tls/*.key"), folder / "keys/dkim.key"]:
        found[path.name] = private_part(path.read_bytes())
    armor = (folder / "keys/pgp.key").read_bytes()
    packets = base64.b64decode(b"".join(armor.split(b"\n\n", 1)[1].split(b"\n=")[0].split(b"\n")))
    found["pgp.key"] = ed25519_secret(packets)
    return found


def ed25519_secret(packets):
    """The secret of the first packet, an EdDSA key without a pass phrase (RFC 4880 5.5.3): the end of its 32 bytes."""
    assert packets[0] & 0xC0 == 0x80 or packets[0] & 0xC0 == 0xC0
    body = packets[2:2 + packets[1]]  # both formats have one octet of length for a key so short
    return body[-32:-2]
