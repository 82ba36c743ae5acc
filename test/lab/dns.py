"""The DNSSEC fixture (test/fixtures/dns) as an object: nsd and unbound on free loopback ports."""
import os
import pathlib
import subprocess

from lab.ports import free_port

FIXTURE = pathlib.Path(__file__).resolve().parent.parent / "fixtures/dns"


class Dns:
    """start() makes keys, zones and certificates in folder and brings both servers up."""

    def __init__(self, folder, mx_port=25):
        self.run = pathlib.Path(folder) / "dns"
        self.mx_port = mx_port
        self.environment = None

    def start(self):
        for attempt in range(3):  # a port may be taken between choosing and binding it
            self.auth_port, self.port, self.report_port = free_port(), free_port(), free_port()
            self.environment = {**os.environ, "DNS_FIXTURE_RUN": str(self.run), "DNS_FIXTURE_AUTH_PORT": str(self.auth_port),
                                "DNS_FIXTURE_RES_PORT": str(self.port), "DNS_FIXTURE_MX_PORT": str(self.mx_port),
                                "DNS_FIXTURE_REPORT_PORT": str(self.report_port)}
            # unbound stays behind with the script's descriptors: they must not be a pipe that we wait for
            with open(str(self.run) + ".log", "wb") as log:
                done = subprocess.run([FIXTURE / "up.sh"], env=self.environment, stdout=log, stderr=log)
            if done.returncode == 0:
                return self
            self.stop()
        raise RuntimeError(pathlib.Path(str(self.run) + ".log").read_text())

    def stop(self):
        subprocess.run([FIXTURE / "down.sh"], env=self.environment, check=False)

    @property
    def resolver(self):
        return f"127.0.0.1:{self.port}"

    @property
    def ca(self):
        return self.run / "ca.pem"

    def certificate(self, name):
        """Paths of certificate and key: mx1, other, hosts, mta-sts."""
        return self.run / f"{name}.pem", self.run / f"{name}.key"
