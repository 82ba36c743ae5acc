"""The board of fault points that a gateway's processes share with its runner (lib/base/fault.h): it asks one role for its
n-th passage of one point, counts all passages, and says how far the wall clock is off. Only test builds look at it."""
import mmap
import os
import pathlib
import struct

HEAD, ROW, ROWS = 128, 64, 1024
WANTED, LEFT, STRUCK, LOST, CLOCK = 0, 64, 72, 80, 88


class Board:
    def __init__(self, path):
        self.path = str(path)
        with open(self.path, "wb+") as file:
            file.truncate(HEAD + ROW * ROWS)
            self.map = mmap.mmap(file.fileno(), HEAD + ROW * ROWS)
        os.chmod(self.path, 0o666)  # each role has its own uid
        self.environment = {"SP_FAULT_BOARD": self.path}

    def close(self):
        self.map.close()

    def users(self):
        """The processes of the gateway that share it."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and int(entry.name) != os.getpid() and self.path in (entry / "maps").read_text():
                    found.append(int(entry.name))
            except OSError:
                continue  # it has ended, or is none of ours
        return found

    def number(self, at):
        return struct.unpack_from("=Q", self.map, at)[0]

    def arm(self, name, number):
        """name: "role:point" or "role:*". The number-th passage from now on fails, once."""
        self.disarm()
        struct.pack_into("64s", self.map, WANTED, name.encode())
        struct.pack_into("=Q", self.map, STRUCK, 0)
        struct.pack_into("=Q", self.map, LEFT, number)

    def set_clock(self, offset_ms):
        """All roles' wall clocks are off by so much from this moment on."""
        struct.pack_into("=q", self.map, CLOCK, offset_ms)

    def disarm(self):
        struct.pack_into("=Q", self.map, LEFT, 0)

    def struck(self):
        return self.number(STRUCK) > 0

    def passed(self):
        """{"role:point": passages until now}"""
        assert self.number(LOST) == 0, "the board has too few rows"
        found = {}
        for row in range(ROWS):
            state, passed, name = struct.unpack_from("=I4xQ48s", self.map, HEAD + row * ROW)
            if state == 2:
                found[name.rstrip(b"\0").decode()] = passed
        return found
