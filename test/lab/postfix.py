"""Postfix as the receiving MTA: Debian's package unpacked into a folder of its own (installing it would replace the
machine's MTA), a private configuration, mail into maildirs. Needs root, as Postfix does."""
import fcntl
import grp
import os
import pathlib
import pwd
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CACHE = ROOT / "build/postfix"
OWNER, POSTDROP = "sp-postfix", "sp-postdrop"


def unpack():
    """The unpacked package, fetched once for all; safe when several tests ask at once."""
    CACHE.parent.mkdir(exist_ok=True)
    with open(CACHE.parent / "postfix.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (CACHE / "done").exists():
            CACHE.mkdir(exist_ok=True)
            download = ["apt-get", "download", "postfix"]
            if subprocess.run(download, cwd=CACHE, capture_output=True).returncode != 0:
                subprocess.run(["apt-get", "update", "-qq"], check=True, capture_output=True)  # no lists yet, or old ones
                subprocess.run(download, cwd=CACHE, check=True)
            subprocess.run(["dpkg", "-x", next(CACHE.glob("postfix_*.deb")), CACHE], check=True)
            (CACHE / "done").touch()
        make_accounts()
    return CACHE


def make_accounts():
    try:
        grp.getgrnam(POSTDROP)
    except KeyError:
        subprocess.run(["groupadd", "--system", POSTDROP], check=True)
    try:
        pwd.getpwnam(OWNER)
    except KeyError:
        subprocess.run(["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", OWNER], check=True)


MAIN = """compatibility_level = 3.6
queue_directory = {run}/queue
data_directory = {run}/data
command_directory = {root}/usr/sbin
daemon_directory = {root}/usr/lib/postfix/sbin
shlib_directory = {root}/usr/lib/postfix
meta_directory = {root}/etc/postfix
sendmail_path = {root}/usr/sbin/sendmail
mailq_path = {root}/usr/bin/mailq
newaliases_path = {root}/usr/bin/newaliases
import_environment = LD_LIBRARY_PATH={root}/usr/lib/postfix MAIL_CONFIG TZ
mail_owner = {owner}
setgid_group = {postdrop}
myhostname = mx1.example.test
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
virtual_mailbox_domains = static:all
virtual_mailbox_maps = static:box/
virtual_mailbox_base = {run}/mail
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
smtpd_tls_security_level = may
smtpd_tls_chain_files = {key} {certificate}
smtpd_tls_received_header = yes
smtpd_tls_loglevel = 1
maillog_file = {run}/mail.log
maillog_file_prefixes = /var, /dev/stdout, /tmp, {run}
"""

MASTER = """pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """Takes mail for every domain on port, offers STARTTLS with the certificate, keeps it all in one maildir."""

    def __init__(self, folder, port, certificate, addresses=("127.0.0.1",), plain_addresses=(), main=""):
        self.run = pathlib.Path(folder) / "postfix"
        self.port, self.certificate, self.addresses = port, certificate, addresses
        self.plain_addresses = plain_addresses  # there it offers no STARTTLS
        self.main = main  # lines of main.cf besides

    def start(self):
        root = unpack()
        owner = pwd.getpwnam(OWNER)
        etc = self.run / "etc"
        for name in ("etc", "queue", "data", "mail"):
            (self.run / name).mkdir(parents=True)
        os.chown(self.run / "data", owner.pw_uid, owner.pw_gid)
        os.chown(self.run / "mail", owner.pw_uid, owner.pw_gid)
        (etc / "main.cf").write_text(MAIN.format(
            run=self.run, root=root, owner=OWNER, postdrop=POSTDROP, uid=owner.pw_uid, gid=owner.pw_gid,
            certificate=self.certificate[0], key=self.certificate[1]) + self.main)
        listeners = [f"{a}:{self.port} inet n - n - - smtpd\n" for a in self.addresses]
        listeners += [f"{a}:{self.port} inet n - n - - smtpd -o smtpd_tls_security_level=none\n"
                      for a in self.plain_addresses]
        (etc / "master.cf").write_text(MASTER + "".join(listeners))
        self.environment = {**os.environ, "LD_LIBRARY_PATH": f"{root}/usr/lib/postfix", "MAIL_CONFIG": str(etc)}
        started = self.command("start")
        deadline = time.monotonic() + 60
        while not self.is_up():
            if started.returncode != 0 or time.monotonic() > deadline:
                raise RuntimeError(f"Postfix does not start: {started.stdout}{started.stderr}")
            time.sleep(0.05)
        return self

    def command(self, word):
        return subprocess.run([unpack() / "usr/sbin/postfix", "-c", self.run / "etc", word], env=self.environment,
                              capture_output=True, text=True, check=False)

    def is_up(self):
        try:
            with socket.create_connection((self.addresses[0], self.port), timeout=2) as s:
                return s.recv(3) == b"220"
        except OSError:
            return False

    def stop(self):
        self.command("stop")
        self.command("abort")

    def messages(self):
        """All delivered messages as bytes with CRLF lines, oldest first."""
        files = [*(self.run / "mail/box/new").glob("*"), *(self.run / "mail/box/cur").glob("*")]
        return [path.read_bytes().replace(b"\n", b"\r\n") for path in sorted(files, key=lambda p: p.stat().st_mtime_ns)]

    def wait_for(self, what, seconds=60):
        """The first message for which what(bytes) is true (or that holds these bytes)."""
        test = what if callable(what) else lambda message: what in message
        deadline = time.monotonic() + seconds
        while True:
            for message in self.messages():
                if test(message):
                    return message
            if time.monotonic() > deadline:
                raise TimeoutError(f"no such message arrived; Postfix says:\n{(self.run / 'mail.log').read_text()[-3000:]}")
            time.sleep(0.05)
