"""A shard's files as bytes: where the records of a message lie, and how to damage them behind everybody's back."""
import pathlib

HEADER = 48
WRAPPED = 60  # a wrapped key: nonce, key, tag
ACCEPT = 1
DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def id_bytes(message):
    """A message id as it stands in a record."""
    number = 0
    for digit in message:
        number = number * 32 + DIGITS.index(digit)
    return number.to_bytes(16, "big")


def shards(gateway):
    return sorted(p for p in (pathlib.Path(gateway.folder) / "state/spool").iterdir() if p.is_dir())


def segments(gateway):
    return sorted(p for s in shards(gateway) for p in s.glob("*.seg"))


def keyring(shard):
    """(generation, wrapped keys by salt) of a shard's keyring, of which both halves say the same."""
    data = (shard / "keyring").read_bytes()
    assert data[:len(data) // 2] == data[len(data) // 2:]
    count, step = int.from_bytes(data[40:44], "little"), 16 + WRAPPED + 8
    entries = [data[44 + i * step:44 + (i + 1) * step] for i in range(count)]
    return data[8:40].rstrip(b"\0").decode(), {entry[:16]: entry[16:16 + WRAPPED] for entry in entries}


def find_record(gateway, message, kind=ACCEPT):
    """(segment, offset, length, length of its sealed metadata, number of bodies) of a message's record of a kind."""
    wanted = id_bytes(message)
    for segment in segments(gateway):
        data = segment.read_bytes()
        at = data.find(wanted)
        while at >= 0:
            start = at - 24
            if start >= 0 and data[start + 8] == kind and data[start + 9] <= 2:
                length = int.from_bytes(data[start:start + 4], "little")
                meta = int.from_bytes(data[start + 12:start + 16], "little")
                if HEADER + meta <= length <= len(data) - start:
                    return segment, start, length, meta, data[start + 9]
            at = data.find(wanted, at + 1)
    raise LookupError(message)


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x40]))


def body_file(gateway, message):
    """The file of the message's body, None if it lies in its record."""
    return next((path for shard in shards(gateway) for path in shard.glob("body-*/" + message)), None)


def damage_body(gateway, message):
    """Flips a byte of the message's body, wherever it lies."""
    path = body_file(gateway, message)
    if path:
        flip(path, path.stat().st_size // 2)
        return
    segment, start, length, meta, bodies = find_record(gateway, message)
    flip(segment, start + (HEADER + bodies * WRAPPED + meta + length) // 2)


def damage_row(gateway, message):
    """Flips a byte of the message's metadata."""
    segment, start, _, meta, bodies = find_record(gateway, message)
    flip(segment, start + HEADER + bodies * WRAPPED + meta // 2)
