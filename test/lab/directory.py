"""An LDAP directory (OpenLDAP's slapd) in a folder: on free ports, under TLS, and through a socket for who fills it."""
import pathlib
import shutil
import signal
import subprocess
import time
import urllib.parse

from lab.ports import free_port

BASE = "dc=hospital,dc=test"
ROOT_DN, READER_DN = "cn=root," + BASE, "cn=sallyport,ou=services," + BASE
ROOT_PASSWORD, READER_PASSWORD = "root-of-the-laboratory", "reader-of-the-laboratory"

CONFIG = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
attributetype ( 1.3.6.1.4.1.4203.666.1.1 NAME 'proxyAddresses' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
objectclass ( 1.3.6.1.4.1.4203.666.1.2 NAME 'exchangeUser' SUP top AUXILIARY MAY proxyAddresses )
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/slapd.pid
{tls}
database mdb
suffix "{base}"
rootdn "{root}"
rootpw {password}
directory {folder}/data
maxsize 16777216
dbnosync
limits dn.exact="{reader}" size.hard=10 size.pr=500 size.prtotal={total}
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{reader}" read by * none
"""

START = f"""\
dn: {BASE}
objectClass: organization
objectClass: dcObject
o: Hospital

dn: ou=services,{BASE}
objectClass: organizationalUnit

dn: ou=people,{BASE}
objectClass: organizationalUnit

dn: ou=groups,{BASE}
objectClass: organizationalUnit

dn: {READER_DN}
objectClass: organizationalRole
objectClass: simpleSecurityObject
userPassword: {READER_PASSWORD}
"""


def person(uid, *addresses, **attributes):
    """An entry as LDIF; the first address is mail, others stand in proxyAddresses as they are."""
    lines = [f"dn: {person_dn(uid)}", "objectClass: inetOrgPerson", "objectClass: exchangeUser", f"cn: {uid}", f"sn: {uid}"]
    lines += [f"mail: {a}" for a in addresses[:1]] + [f"proxyAddresses: {a}" for a in addresses[1:]]
    return "\n".join(lines + [f"{k}: {v}" for k, v in attributes.items()]) + "\n"


def person_dn(uid):
    return f"uid={uid},ou=people,{BASE}"


def group_dn(name):
    return f"cn={name},ou=groups,{BASE}"


def group(name, *members):
    return "\n".join([f"dn: {group_dn(name)}", "objectClass: groupOfNames", *(f"member: {m}" for m in members)]) + "\n"


class Directory:
    """leaf: certificate of the server, or None for one without TLS; total: entries that a paged search may give at all."""

    def __init__(self, folder, leaf, total="unlimited"):
        self.folder = pathlib.Path(folder)
        (self.folder / "data").mkdir(parents=True)
        self.port, self.tls_port = (free_port(("127.0.0.1", "127.0.0.2")) for _ in range(2))
        self.socket = "ldapi://" + urllib.parse.quote(str(self.folder / "s"), safe="")
        tls = "" if leaf is None else f"TLSCertificateFile {leaf.certificate}\nTLSCertificateKeyFile {leaf.key}"
        (self.folder / "slapd.conf").write_text(CONFIG.format(folder=self.folder, base=BASE, root=ROOT_DN, reader=READER_DN,
                                                              password=ROOT_PASSWORD, tls=tls, total=total))
        (self.folder / "start.ldif").write_text(START)
        subprocess.run(["/usr/sbin/slapadd", "-f", self.folder / "slapd.conf", "-l", self.folder / "start.ldif"], check=True,
                       capture_output=True, timeout=60)
        self.urls = f"ldap://127.0.0.1:{self.port} ldap://127.0.0.2:{self.port} {self.socket}" + (
            f" ldaps://127.0.0.1:{self.tls_port} ldaps://127.0.0.2:{self.tls_port}" if leaf else "")
        self.process = None
        self.start()

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(["/usr/sbin/slapd", "-d", "0", "-f", self.folder / "slapd.conf", "-h", self.urls],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while subprocess.run(self.client("ldapwhoami"), capture_output=True).returncode != 0:
            assert self.process.poll() is None and time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.05)

    def client(self, program, *words):
        return [shutil.which(program), "-x", "-H", self.socket, "-D", ROOT_DN, "-w", ROOT_PASSWORD, *words]

    def add(self, *entries):
        """Adds entries given as LDIF, or carries out changes (changetype)."""
        subprocess.run(self.client("ldapmodify", "-a"), input="\n".join(entries), text=True, check=True, capture_output=True,
                       timeout=60)

    def remove(self, dn):
        """Takes an entry away, a referral itself and not what it leads to."""
        subprocess.run(self.client("ldapdelete", "-M", dn), check=True, capture_output=True, timeout=60)

    def set_members(self, name, *members):
        self.add(f"dn: {group_dn(name)}\nchangetype: modify\nreplace: member\n" + "".join(f"member: {m}\n" for m in members))

    def hold(self):
        """It takes connections and says nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        if self.process.poll() is None:
            self.go_on()
            self.process.terminate()
        self.process.wait(30)
