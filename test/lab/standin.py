"""A supervisor in a folder of its own, with one program standing in for every role: nothing of the roles' own work runs."""
import json
import os
import pathlib
import shutil
import signal
import subprocess

from lab.ports import free_port

ROLES = ["relay", "scanner", "sealer", "keeper", "portal", "ledger", "fetcher", "admin"]


class StandIns:
    def __init__(self, folder, build, program, **settings):
        """build: the folder of a preset; program: what each role is, in there."""
        self.folder = pathlib.Path(folder)
        (self.folder / "bin").mkdir()
        (self.folder / "libexec/sallyport").mkdir(parents=True)
        shutil.copy(build / "bin/sallyport", self.folder / "bin/sallyport")
        for role in ROLES:
            shutil.copy(build / program, self.folder / "libexec/sallyport" / role)
        self.config = self.folder / "config"
        for name in ("policies", "tenants", "keys"):
            (self.config / name).mkdir(parents=True)
        (self.config / "policies/policy.json").write_text("{}")
        (self.config / "tenants/t.json").write_text(json.dumps({"tenant": "t", "domains": ["t.test"],
                                                                "proofs": {"networks": ["127.0.0.0/8"]}}))
        (self.config / "keys/master.key").write_bytes(os.urandom(32))
        self.settings = {"node": "n", "hostname": "gw.test", "state_dir": str(self.folder / "state"), "workers": 2,
                         "listen": [{"address": f"127.0.0.1:{free_port()}", "tls": "none"}], **settings}
        self.write()
        self.log = self.folder / "log"
        self.process = None

    def write(self, comment=""):
        (self.config / "sallyport.json").write_text(f"{comment}\n{json.dumps(self.settings)}\n")

    def start(self, *prefix, **options):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*prefix, self.folder / "bin/sallyport", "serve", "-c",
                                             self.config / "sallyport.json"],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)
        return self

    def lines(self):
        """What the log has, as objects."""
        found = []
        for line in self.log.read_text(errors="replace").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def children(self):
        """{program name: [pid]} of the roles that run."""
        found = {}
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                name, rest = stat.read_text().split("(", 1)[1].rsplit(")", 1)
                if int(rest.split()[1]) == self.process.pid:
                    found.setdefault(name, []).append(int(stat.parent.name))
            except OSError:
                continue
        return found

    def stop(self):
        """Returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
        return self.process.returncode
