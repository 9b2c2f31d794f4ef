#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the command-line tests need that a shell is bad at.

The oracle here asks no FIEMAP: every sector of a tagged file says who it is, so the image says where it lies.
"""
import base64
import ctypes
import functools
import hashlib
import json
import os
import random
import struct
import subprocess
import sys
import traceback

SECTOR = 512
PAGE = 4096


def strict(schema):
    """The installed schema lets a reader meet new fields; a test wants each field to be in the schema."""
    if isinstance(schema, dict):
        if "properties" in schema and schema.get("type") == "object":
            schema["additionalProperties"] = False
        for value in schema.values():
            strict(value)
    elif isinstance(schema, list):
        for value in schema:
            strict(value)
    return schema


def exact_path(entry):
    if "path_base64" in entry:
        return base64.b64decode(entry["path_base64"])
    return entry["path"].encode()


def losses(d, *states):
    """{path: [(offset, length, state)]}, touching ranges of one state joined."""
    found = {}
    for f in d["files"]:
        for r in f["ranges"]:
            if states and r["state"] not in states:
                continue
            ranges = found.setdefault(os.fsdecode(exact_path(f)), [])
            if ranges and ranges[-1][0] + ranges[-1][1] == r["offset"] and ranges[-1][2] == r["state"]:
                ranges[-1] = (ranges[-1][0], ranges[-1][1] + r["length"], r["state"])
            else:
                ranges.append((r["offset"], r["length"], r["state"]))
    return found


@functools.lru_cache(maxsize=None)
def validator():
    import jsonschema

    with open(os.path.join(os.environ["top_srcdir"], "man/report-schema.json")) as f:
        return jsonschema.Draft202012Validator(strict(json.load(f)))


def load(path):
    with open(path, "rb") as f:
        document = json.loads(f.read().decode("utf-8"))
    validator().validate(document)
    return document


def check(path, status, *expressions):
    """Validate a report and evaluate expressions over d, the document."""
    d = load(path)
    good = True
    codes = [m["code"] for m in d["messages"]]
    names = {"d": d, "codes": codes, "losses": losses, "exact_path": exact_path, "os": os}
    if d["exit_status"] != int(status):
        print(f"exit_status is {d['exit_status']}, the program's was {status}")
        good = False
    if d["complete"] != (int(status) & 8 == 0):
        print("complete and exit_status contradict each other")
        good = False
    for expression in expressions:
        if not eval(expression, names):  # the tests' own text
            print(f"not true: {expression}")
            good = False
    if not good:
        print(json.dumps(d, indent=1))
    return good


# ---- tagged files


def tag(name, page, sector):
    seed = f"{name} {page} {sector}".encode()
    return (b"PMRTAG " + hashlib.sha256(seed).hexdigest().encode()).ljust(SECTOR, b"~")


def tagged_page(name, page):
    return b"".join(tag(name, page, s) for s in range(PAGE // SECTOR))


def write(path, pages, seed=None, tail=0):
    """Write a file whose sectors can be told apart. With a seed its extents are shuffled: pages are inserted
    at random places, so that the order in the file is not the order on the device."""
    name = os.urandom(8).hex()
    pages = int(pages)
    rng = random.Random(int(seed)) if seed not in (None, "-") else None
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
    if not rng:
        os.pwrite(fd, b"".join(tagged_page(name, p) for p in range(pages)), 0)
    for p in range(pages if rng else 0):
        at = rng.randint(0, p)
        if at < p:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.fallocate(fd, 0x20, ctypes.c_long(at * PAGE), ctypes.c_long(PAGE)):
                raise OSError(ctypes.get_errno(), "fallocate INSERT_RANGE")
        os.pwrite(fd, tagged_page(name, p), at * PAGE)
        os.fsync(fd)
    if int(tail):
        os.ftruncate(fd, (pages - 1) * PAGE + int(tail))
    os.fsync(fd)
    os.close(fd)


def stored(fd):
    """The parts of a sparse image that hold anything, in pieces of whole sectors."""
    end = 0
    while True:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError:
            return
        end = min(os.lseek(fd, start, os.SEEK_HOLE), start + (1 << 22))
        yield start, end


def places(image):
    """{tag: [device offset]} of every tagged sector of a device."""
    found = {}
    with open(image, "rb") as f:
        for start, end in stored(f.fileno()):
            chunk = os.pread(f.fileno(), end - start, start)
            at = chunk.find(b"PMRTAG ")
            while at >= 0:
                if at % SECTOR == 0:
                    found.setdefault(chunk[at : at + 71], []).append(start + at)
                at = chunk.find(b"PMRTAG ", at + 1)
    return found


def sectors(path):
    """(file offset, tag) of every tagged sector of a file; a cut last one too."""
    with open(path, "rb") as f:
        data = f.read()
        # what the page cache still has is "cached", not "lost"
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    for offset in range(0, len(data), SECTOR):
        if data[offset : offset + 7] == b"PMRTAG ":
            yield offset, data[offset : offset + 71], min(SECTOR, len(data) - offset)


def where(image, path, offset):
    """Device offset of a file's sector. More than one place: the test was not careful."""
    found = places(image)
    for at, key, _ in sectors(path):
        if at == int(offset) // SECTOR * SECTOR:
            (place,) = found[key]
            print(place)
            return True
    return False


def pick(image, seed, count, *paths):
    """A badblocks list: random sectors of the files, a few of them runs over page borders."""
    rng = random.Random(int(seed))
    found = places(image)
    every = sorted({p // SECTOR for path in paths for _, key, _ in sectors(path) for p in found[key]})
    known = set(every)
    chosen = set()
    for i in range(int(count)):
        start = rng.choice(every)
        run = range(start, start + (rng.randint(9, 40) if i % 8 == 0 else 1))
        chosen.update(s for s in run if s in known)
    order = list(chosen)
    rng.shuffle(order)
    for s in order:
        print(s, 1)
    return True


def bad_sectors(path):
    bad = set()
    with open(path) as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                start, count = map(int, line.split())
                bad.update(range(start, start + count))
    return bad


def oracle(image, badblocks, report, *paths):
    """Hold a report against what the tags say: exactly these bytes of these files are lost, and no others."""
    bad = bad_sectors(badblocks)
    found = places(image)
    expected = {}
    for path in paths:
        lost = set()
        for offset, key, length in sectors(path):
            if any(p // SECTOR in bad for p in found.get(key, [])):
                lost.update(range(offset, offset + length))
        if lost:
            expected[path] = lost
    d = load(report)
    reported = {}
    for f in d["files"]:
        names = [os.fsdecode(exact_path(f))] + [os.fsdecode(exact_path(x)) for x in f["links"]]
        for r in f["ranges"]:
            if r["state"] == "lost":
                for n in names:
                    reported.setdefault(n, set()).update(range(r["offset"], r["offset"] + r["length"]))
    good = True
    for path in sorted(set(expected) | set(reported)):
        missing = expected.get(path, set()) - reported.get(path, set())
        extra = reported.get(path, set()) - expected.get(path, set())
        if missing or extra:
            good = False
            print(f"{path!r}: {len(missing)} bytes missing {sorted(missing)[:1]}, {len(extra)} too many {sorted(extra)[:1]}")
    if not expected:
        print("the badblocks hit nothing: no test")
        good = False
    return good


def located(image, report, *paths):
    """Hold the places of a report against the tags: all is covered, and each sector is its files', where it lies in them."""
    d = load(report)
    good = True
    found = places(image)
    expected = set()
    for path in paths:
        for offset, key, length in sectors(path):
            expected.update((path, at, offset) for at in found.get(key, []) if length)
    reported = set()
    end = 0
    for p in d["places"]:
        if p["offset"] > end:
            print(f"nothing is said of {end} to {p['offset']}")
            good = False
        end = max(end, p["offset"] + p["length"])
        if p["owner"] != "file":
            continue
        names = [exact_path(p)] + [exact_path(x) for x in p["links"]]
        for at in range(p["offset"] + -p["offset"] % SECTOR, p["offset"] + p["length"], SECTOR):
            offset = p["file_offset"] + at - p["offset"]
            reported.update((os.fsdecode(n), at, offset) for n in names if p["kind"] == "data" and not p["past_eof"])
    if end != os.stat(image).st_size:
        print(f"the places end at {end}")
        good = False
    # what is no tagged file is none of this test's
    reported = {r for r in reported if r[0] in paths}
    for what, rows in (("missing", expected - reported), ("too many", reported - expected)):
        if rows:
            print(f"{len(rows)} {what}: {sorted(rows)[:3]}")
            good = False
    if len(expected) < len(paths):
        print("next to no tags were found: no test")
        good = False
    return good


def extents(fd):
    """[(offset, physical, length, flags)] of an open file."""
    import fcntl

    n = 512
    buffer = bytearray(struct.pack("=QQLLLL", 0, 2**64 - 1, 1, 0, n, 0) + bytes(56 * n))
    fcntl.ioctl(fd, 0xC020660B, buffer)
    found = []
    for i in range(struct.unpack_from("=QQLLLL", buffer)[3]):
        logical, physical, length, _, _, flags = struct.unpack_from("=QQQQQL", buffer, 32 + 56 * i)
        found.append((logical, physical, length, flags))
    return found


def fiemap(path):
    """offset physical length flags, one extent a line; for what carries no tag: unwritten, past the end."""
    with open(path, "rb") as f:
        for logical, physical, length, flags in extents(f.fileno()):
            print(logical, physical, length, hex(flags))
    return True


def damage(image, badblocks):
    """Overwrite the listed sectors of a device with garbage, as if they had been lost and were readable again."""
    fd = os.open(image, os.O_RDWR)
    for s in bad_sectors(badblocks):
        os.pwrite(fd, os.urandom(SECTOR), s * SECTOR)
    os.fsync(fd)
    os.close(fd)
    return True


def sync(directory):
    """Its filesystem: all that was written lies on the device."""
    fd = os.open(directory, os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).syncfs(fd):
        raise OSError(ctypes.get_errno(), f"syncfs {directory}")
    os.close(fd)


def forget(directory):
    """Take what lies below a directory out of the page cache, but nobody else's files."""
    sync(directory)
    for top, _, names in os.walk(os.fsencode(directory)):
        for name in names:
            path = os.path.join(top, name)
            if os.path.isfile(path) and not os.path.islink(path):
                fd = os.open(path, os.O_RDONLY)
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(fd)
    return True


def mbr(image, *starts_and_counts):
    """A partition table with these partitions, in sectors."""
    entries = b""
    for i in range(0, len(starts_and_counts), 2):
        start, count = int(starts_and_counts[i]), int(starts_and_counts[i + 1])
        entries += struct.pack("<B3sB3sLL", 0, b"\0\2\0", 0x83, b"\xff\xff\xff", start, count)
    fd = os.open(image, os.O_RDWR)
    os.pwrite(fd, entries.ljust(64, b"\0") + b"\x55\xaa", 446)
    os.close(fd)
    return True


def runs(numbers):
    """A set of byte positions as a list of [first, last + 1)."""
    out = []
    for n in sorted(numbers):
        if out and out[-1][1] == n:
            out[-1][1] = n + 1
        else:
            out.append([n, n + 1])
    return [tuple(r) for r in out]


def areas(mapfile):
    """{status: [[first, last + 1), ...]} of a ddrescue mapfile, touching areas joined."""
    found = {}
    lines = [x.split("#")[0].split() for x in open(mapfile, errors="surrogateescape")]
    for line in [x for x in lines if x][1:]:
        start, size = int(line[0], 16), int(line[1], 16)
        mine = found.setdefault(line[2], [])
        if mine and mine[-1][1] == start:
            mine[-1] = (mine[-1][0], start + size)
        elif size:
            mine.append((start, start + size))
    return found


def salvaged(image, badblocks, original, out, report, fill, mapfile, unit=SECTOR):
    """Hold a copy against what the tags of the undamaged file say: exactly the bytes of listed sectors are lost.

    With a larger unit, all of a unit with a listed sector is. A mapfile of "-" is none."""
    unit = int(unit)
    bad = bad_sectors(badblocks)
    found = places(image)
    with open(original, "rb") as f:
        expected = bytearray(f.read())
    size = len(expected)
    lost = set()
    for offset, key, length in sectors(original):
        if any(p // SECTOR in bad for p in found.get(key, [])):
            start = offset // unit * unit
            lost.update(range(start, min(start + unit, size)))
    byte = 0 if fill == "-" else int(fill)
    for first, end in runs(lost):
        expected[first:end] = bytes([byte]) * (end - first)
    with open(out, "rb") as f:
        now = f.read()
    good = True

    def demand(what, is_so):
        nonlocal good
        if not is_so:
            print(f"not so: {what}")
            good = False

    d = load(report)
    s = d["salvage"]
    demand("the badblocks hit something", lost)
    demand("the copy is what it should be", now == expected)
    ranges = set()
    for f in d["files"]:
        for r in f["ranges"]:
            if r["state"] == "lost":
                ranges.update(range(r["offset"], min(r["offset"] + r["length"], size)))
    demand("the report's ranges are those lost", ranges == lost)
    demand("lost_bytes", s["lost_bytes"] == len(lost) == d["summary"]["lost_bytes"])
    demand("size", s["size"] == size)
    demand("remaining_bytes", s["remaining_bytes"] == 0)
    demand("fill", s["fill"] == (None if fill == "-" else byte))
    if mapfile != "-":
        a = areas(mapfile)
        demand("the mapfile's bad areas are those lost", a.get("-", []) == runs(lost))
        edges = [0, *(edge for run in runs(lost) for edge in run), size]
        others = [(first, end) for first, end in zip(edges[::2], edges[1::2]) if first < end]
        demand("the mapfile's other areas are rescued", a.get("+", []) == others)
        demand("the mapfile has no other areas", set(a) <= {"+", "-"})
    return good


def rescued(mapfile, path, out):
    """Whether all that a mapfile calls rescued is in the copy; prints how much that is."""
    total = 0
    with open(path, "rb") as f, open(out, "rb") as g:
        for first, end in areas(mapfile).get("+", []):
            if os.pread(f.fileno(), end - first, first) != os.pread(g.fileno(), end - first, first):
                return False
            total += end - first
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    print(total)
    return True


# ---- one process for all that a test asks


def do(command, *arguments):
    commands = [check, write, where, pick, oracle, located, fiemap, damage, forget, mbr, salvaged, rescued]
    return {c.__name__: c for c in commands}[command](*arguments) in (None, True)


def answer(directory):
    """Do what the file there says, as a process in that working directory would; true if it went well."""
    with open(directory + "/request", "rb") as f:
        words = [os.fsdecode(word) for word in f.read().split(b"\0")[:-1]]
    good = False
    with open(directory + "/output", "w") as sys.stdout, open(directory + "/errors", "w") as sys.stderr:
        try:
            os.chdir(words[0])
            good = do(*words[1:])
        except BaseException:
            traceback.print_exc()
        # No filesystem is to be busy with us.
        os.chdir("/")
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    return good


def serve(directory):
    """Answer one request after the other, each announced by a line in one FIFO and ended by one in the other. Starting
    Python and reading the schema takes ten times what most requests do."""
    # Whoever asks may be killed, and there would be nobody left to end us.
    ctypes.CDLL(None).prctl(1, 9)
    os.chdir("/")
    with open(directory + "/go", "rb+", buffering=0) as go, open(directory + "/done", "wb+", buffering=0) as done:
        done.write(b"0\n")
        while go.read(1):
            done.write(b"0\n" if answer(directory) else b"1\n")


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(*sys.argv[2:])
    else:
        sys.exit(0 if do(*sys.argv[1:]) else 1)
