"""No word of a message and no secret is where it should not be: the search itself, see lab/leaks.py."""
import base64
import os
import pathlib
import types

from lab import leaks


def test_the_search_finds_every_form(tmp_path):
    """What finds nothing must be known to find: each form is planted, in files, in names, in a memfd, in an environment."""
    marker = "MARKER-ö-4815162342"
    raw = marker.encode()
    state = tmp_path / "state"
    (state / "spool").mkdir(parents=True)
    log = tmp_path / "log"
    log.write_bytes(b"nothing\n")
    config = tmp_path / "sallyport.json"
    config.write_text("{}")
    fake = types.SimpleNamespace(folder=tmp_path, info={"pid": os.getpid(), "log": str(log), "config": str(config),
                                                        "spool": str(state / "spool")})
    assert leaks.search(fake, {"m": marker}) == []
    planted = {"plain": raw, "hex": raw.hex().upper().encode(), "utf-16le": marker.encode("utf-16-le"),
               "utf-16be": marker.encode("utf-16-be"), "json": b'"MARKER-\\u00f6-4815162342"',
               "url": b"x=MARKER-%C3%B6-4815162342", "quoted-printable": b"".join(b"=%02X" % c for c in raw),
               "folded": b"x" * 60 + raw[:9] + b"=\r\n" + raw[9:]}
    planted.update((f"base64+{n}", base64.encodebytes(b"z" * (55 + n) + raw + b"yy")) for n in range(3))
    for form, data in planted.items():
        (state / form).write_bytes(os.urandom(100) + data + os.urandom(100))
        found = leaks.search(fake, {"m": marker})
        assert found and {pathlib.Path(f.where).name for f in found} == {form}, form
        (state / form).unlink()
    (state / f"file-{marker}").touch()
    assert leaks.search(fake, {"m": marker})
    (state / f"file-{marker}").unlink()
    (tmp_path / "core.1").write_bytes(raw)
    assert leaks.search(fake, {"m": marker})
    (tmp_path / "core.1").unlink()
    fd = os.memfd_create("x")
    os.write(fd, raw)
    assert [f.form for f in leaks.search(fake, {"m": marker})] == ["plain"]
    os.close(fd)
    assert leaks.search(fake, {"m": marker}) == []
    assert leaks.search(fake, {"path": os.environ["PATH"]})  # this process's environment
    log.write_bytes(b'"time":1764815162342')
    assert leaks.search(fake, {"code": "81516234"}) == []  # within a number
    log.write_bytes(b'"code":81516234,')
    assert leaks.search(fake, {"code": "81516234"})
