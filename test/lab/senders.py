"""Mail servers that relay to us, as a hosted provider's do: Postfix and Exim, each with a queue, a client certificate and many
connections. Debian's packages unpacked into folders of their own, since both would be the machine's MTA. Need root."""
import fcntl
import os
import pathlib
import pwd
import signal
import subprocess
import time

from lab import postfix
from lab.ports import free_port

CACHE = postfix.ROOT / "build/exim"
EXIM_USER = "Debian-exim"  # built into the package


class Sender:
    """port: takes mail for every domain on loopback, and relays it all to one next hop."""

    def wait_for(self, done, what, seconds):
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}; its log:\n{self.log()[-3000:]}")
            time.sleep(0.05)


class PostfixSender(Sender):
    MAIN = "".join(line for line in postfix.MAIN.splitlines(True)
                   if not line.startswith(("virtual_", "myhostname", "smtpd_tls"))) + """
virtual_mailbox_domains =
myhostname = out.provider.test
relayhost = [localhost]:{to}
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtp_tls_security_level = secure
smtp_tls_secure_cert_match = localhost
smtp_tls_CAfile = {ca}
smtp_tls_chain_files = {client_key} {client_certificate}
smtp_tls_loglevel = 1
smtp_connection_cache_on_demand = no
default_destination_concurrency_limit = 20
initial_destination_concurrency = 10
default_destination_recipient_limit = 1000
smtpd_relay_restrictions = permit_mynetworks, reject
"""

    def __init__(self, folder, info):
        self.run, self.port = pathlib.Path(folder) / "postfix-sender", free_port()
        root, owner = postfix.unpack(), pwd.getpwnam(postfix.OWNER)
        for name in ("etc", "queue", "data"):
            (self.run / name).mkdir(parents=True)
        os.chown(self.run / "data", owner.pw_uid, owner.pw_gid)
        for name in ("client_key", "client_cert"):  # its own processes read them
            copy = self.run / name
            copy.write_bytes(pathlib.Path(info[name]).read_bytes())
            copy.chmod(0o640)
            os.chown(copy, 0, owner.pw_gid)
        (self.run / "etc/main.cf").write_text(self.MAIN.format(
            run=self.run, root=root, owner=postfix.OWNER, postdrop=postfix.POSTDROP, uid=owner.pw_uid, gid=owner.pw_gid,
            certificate=info["client_cert"], key=info["client_key"], to=info["smtp"]["port"], ca=info["ca"],
            client_key=self.run / "client_key", client_certificate=self.run / "client_cert"))
        (self.run / "etc/master.cf").write_text(
            postfix.MASTER + f"127.0.0.1:{self.port} inet n - n - - smtpd -o smtpd_tls_security_level=none\n")
        self.environment = {**os.environ, "LD_LIBRARY_PATH": f"{root}/usr/lib/postfix", "MAIL_CONFIG": str(self.run / "etc")}
        self.command("postfix", "start")
        self.wait_for(lambda: postfix.Postfix.is_up(self), "Postfix does not start", 60)

    addresses = ("127.0.0.1",)

    def command(self, *words):
        return subprocess.run([postfix.unpack() / "usr/sbin" / words[0], "-c", self.run / "etc", *words[1:]], text=True,
                              env=self.environment, capture_output=True, check=False)

    def log(self):
        return (self.run / "mail.log").read_text(errors="replace") if (self.run / "mail.log").exists() else ""

    def wait_sent(self, count, seconds=90):
        self.wait_for(lambda: self.log().count("status=sent (250 ") >= count, "Postfix has not sent it all", seconds)

    def connections(self):
        return self.log().count("TLS connection established to localhost")

    def stop(self):
        self.command("postfix", "stop")
        self.command("postfix", "abort")


EXIM = """exim_user = {user}
exim_group = {user}
deliver_drop_privilege = true
primary_hostname = out.provider.test
spool_directory = {run}/spool
log_file_path = {run}/log/%slog
pid_file_path = {run}/exim.pid
exim_path = {program}
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
disable_ipv6 = true
host_lookup =
rfc1413_hosts =
tls_advertise_hosts =
dsn_advertise_hosts = *
chunking_advertise_hosts =
smtp_accept_max = 100
queue_only = true
queue_run_max = 10
remote_max_parallel = 10
keep_environment =
message_logs = false
dkim_verify_signers =
acl_smtp_rcpt = take
acl_smtp_data = take
begin acl
take:
  accept hosts = 127.0.0.0/8
begin routers
smart:
  driver = manualroute
  domains = *
  transport = out
  route_list = * localhost byname
  self = send
begin transports
out:
  driver = smtp
  port = {to}
  hosts_require_tls = *
  hosts_try_dane =
  hosts_try_chunking = {chunking}
  tls_verify_certificates = {ca}
  tls_verify_hosts = *
  tls_certificate = {run}/client_cert
  tls_privatekey = {run}/client_key
begin retry
* * F,1h,1m
"""


def unpack_exim():
    """The unpacked package, fetched once for all."""
    CACHE.parent.mkdir(exist_ok=True)
    with open(CACHE.parent / "exim.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (CACHE / "done").exists():
            CACHE.mkdir(exist_ok=True)
            download = ["apt-get", "download", "exim4-daemon-light"]
            if subprocess.run(download, cwd=CACHE, capture_output=True).returncode != 0:
                subprocess.run(["apt-get", "update", "-qq"], check=True, capture_output=True)  # no lists yet, or old ones
                subprocess.run(download, cwd=CACHE, check=True)
            subprocess.run(["dpkg", "-x", next(CACHE.glob("exim4-daemon-light_*.deb")), CACHE], check=True)
            (CACHE / "done").touch()
        if subprocess.run(["id", EXIM_USER], capture_output=True).returncode != 0:
            subprocess.run(["useradd", "--badname", "--system", "--user-group", "--no-create-home", "--shell",
                            "/usr/sbin/nologin", EXIM_USER], check=True, capture_output=True)
    return CACHE / "usr/sbin/exim4"


class EximSender(Sender):
    def __init__(self, folder, info, chunking=True):
        self.run, self.port = pathlib.Path(folder) / "exim-sender", free_port()
        self.program, owner = unpack_exim(), None
        owner = pwd.getpwnam(EXIM_USER)
        for name in ("", "spool", "log"):
            (self.run / name).mkdir(parents=True, exist_ok=True)
            os.chown(self.run / name, owner.pw_uid, owner.pw_gid)
        for name in ("client_key", "client_cert"):
            copy = self.run / name
            copy.write_bytes(pathlib.Path(info[name]).read_bytes())
            copy.chmod(0o600)
            os.chown(copy, owner.pw_uid, owner.pw_gid)
        config = self.run / "exim.conf"
        config.write_text(EXIM.format(user=EXIM_USER, run=self.run, program=self.program, port=self.port, ca=info["ca"],
                                      to=info["smtp"]["port"], chunking="*" if chunking else ""))
        self.config = config
        self.daemon = subprocess.Popen([self.program, "-C", config, "-bdf"], stdin=subprocess.DEVNULL,
                                       stdout=(self.run / "out").open("wb"), stderr=subprocess.STDOUT, start_new_session=True)
        self.wait_for(lambda: postfix.Postfix.is_up(self), "Exim does not start", 30)

    addresses = ("127.0.0.1",)

    def log(self):
        files = [self.run / "out", *(self.run / "log").glob("*")]
        return "\n".join(path.read_text(errors="replace") for path in files if path.exists())

    def run_queue(self, at_once):
        """So many queue runners at a time, each with connections of its own."""
        runners = [subprocess.Popen([self.program, "-C", self.config, "-q"], stdin=subprocess.DEVNULL,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(at_once)]
        for runner in runners:
            runner.wait(120)

    def wait_sent(self, count, seconds=90):
        self.wait_for(lambda: self.log().count(" => ") + self.log().count(" -> ") >= count, "Exim has not sent it all", seconds)

    def stop(self):
        try:
            os.killpg(self.daemon.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        self.daemon.wait(60)
