#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""whole_trees.py: whose bad bytes are, asked in every way there is, against an oracle that asks none of the program's code.

    whole_trees.py DEVICE DIRECTORY KIND BLOCK WAY FIRST LAST [option...]

A filesystem of KIND, with blocks of BLOCK bytes, is mounted at DIRECTORY; WAY is the word that a report has to have for how
owners were found. Each seed changes the tree and makes a list of bad sectors. Options:

    knob=FILE      the list is made real by writing it there, and not given to the program as a file: a PMEM disk's badblocks
    region=N       the knob is the test module's, which counts bytes, and the device's first is this one
    small          smaller trees, fewer questions, and nothing poisoned that the kernel itself reads or writes: for guests
    size=N[M]      of the filesystem, where it is not the device's
    again=SEED     stop behind that seed and leave its list in DIRECTORY.bad
"""
import json
import mmap
import os
import random
import subprocess
import sys
import time

from tools import exact_path, load
from whole_trees_make import Tree
from whole_trees_oracle import SECTOR, Oracle, join


class Disagreement(Exception):
    pass


def demand(is_so, *what):
    if not is_so:
        raise Disagreement(" ".join(str(w) for w in what))


# ---- lists


def kinds_of_places(oracle):
    """{what: [block]}: a list that hits blocks at random would hit next to nothing but free space."""
    places = {}
    for block, rows in oracle.blocks.items():
        for inode, offset, flags in rows:
            it = oracle.inodes[inode]
            what = ["data"]
            if not it.names:
                what.append("deleted")
            if flags & 0x2000:
                what.append("shared")
            if flags & 0x800:
                what.append("unwritten")
            if offset >= it.size:
                what.append("past the end")
            elif offset + oracle.block >= it.size:
                what.append("last")
            if not offset:
                what.append("first")
            if len(it.names) > 1:
                what.append("links")
            for w in what:
                places.setdefault(w, []).append(block)
    for block, (owner, part, _) in oracle.metadata.items():
        places.setdefault(part or owner, []).append(block)
    return {what: sorted(blocks) for what, blocks in sorted(places.items())}


def make_list(oracle, rng, avoid, hits):
    places = {what: blocks for what, blocks in kinds_of_places(oracle).items() if what not in avoid}
    bad = set()
    wanted = rng.choice([1, 3, 10, 40, 200])
    for _ in range(wanted):
        what = rng.choice(list(places))
        hits[what] = hits.get(what, 0) + 1
        start = rng.choice(places[what]) * oracle.block // SECTOR + rng.randrange(oracle.block // SECTOR)
        length = rng.choice([1, 1, 1, 2, 8, rng.randint(1, 40), 3000 if wanted < 20 and rng.random() < 0.3 else 1])
        for sector in range(start, min(start + length, oracle.size // SECTOR)):
            owner, part, _ = oracle.owner(sector)
            if (part or owner) not in avoid:
                bad.add(sector)
    return bad


def runs(sectors):
    return [(offset, length) for offset, length, _ in join([(s, 1, s) for s in sectors])]


def pages(sectors):
    """The same, none of them on both sides of a page's border."""
    for start, count in runs(sectors):
        while count:
            n = min(count, 8 - start % 8)
            yield start, n
            start, count = start + n, count - n


# ---- one report against the oracle


def names_of(entry):
    names = [exact_path(entry)] + [exact_path(x) for x in entry["links"]]
    demand(len(set(names)) == len(names), "a name twice:", names)
    return set(names)


def check_files(oracle, report, bad):
    expected = oracle.files(bad)
    found = {}
    for f in report["files"]:
        inode = f["inode"]
        demand(inode not in found, "inode", inode, "is there twice")
        demand(f["complete"] and not f["error"], "not all of it was looked at:", f)
        demand(inode in expected, "inode", inode, f["path"], "is said to have", f["ranges"])
        it = oracle.inodes[inode]
        demand(f["size"] == it.size, "size of", inode, f["size"], it.size)
        if it.names:
            demand(names_of(f) == it.names, "names of", inode, names_of(f), it.names)
        else:
            demand(not f["links"] and f["path"].startswith("/proc/"), "inode", inode, "has no name, but", f["path"], f["links"])
        rows = [(r["offset"], r["length"], r["device_offset"], r["state"], r["shared"]) for r in f["ranges"]]
        demand(rows == sorted(rows), "ranges of", inode, "are in no order")
        found[inode] = rows = join(rows)
        demand(rows == expected[inode], "inode", inode, it.names, "\n  reported", sorted(set(rows) - set(expected[inode]))[:6],
               "\n  expected", sorted(set(expected[inode]) - set(rows))[:6])
    missing = set(expected) - set(found)
    demand(not missing, "not reported:", [(i, oracle.inodes[i].names, expected[i][:3]) for i in missing][:5])
    paths = [exact_path(f) for f in report["files"]]
    demand(paths == sorted(paths), "files are in no order")


def check_inode(oracle, r, inodes, where):
    """That an inode, and a name of it, are said where they are known; of several the first, or any."""
    inode = r.get("inode")
    demand(inode in inodes, where, "is inode", inode, "instead of", inodes)
    it = oracle.inodes.get(inode)
    if it and it.names:
        demand(r.get("path") is not None and exact_path(r) in it.names, where, "path", r.get("path"), "instead of", it.names)
    else:
        demand(not r.get("path") or r["path"].startswith("/proc/"), where, "path", r.get("path"), "of what has no name")


def check_owner(oracle, r, sector):
    where = f"{r} sector {sector}:"
    owner, part, inodes = oracle.owner(sector)
    if sector * SECTOR // oracle.block in oracle.tables:
        # a sector has several inodes, and each of them may have a row of its own
        check_table(oracle, r, sector, where)
        return
    if owner == "unknown":
        # the oracle knows what is free, and files and directories; the program may know more of what is neither
        demand(r["owner"] in ("unknown", "metadata", "log"), where, "should be metadata or unknown")
        return
    demand(r["owner"] == owner, where, "should be", owner, part, inodes)
    if owner != "metadata":
        return
    demand(r.get("part") == part, where, "should be", part, inodes)
    if part:
        check_inode(oracle, r, inodes, where)


def check_table(oracle, r, sector, where):
    start = max(r["offset"], sector * SECTOR)
    end = min(r["offset"] + r["length"], (sector + 1) * SECTOR)
    used = oracle.inodes_in(start, end)
    demand(r["owner"] == "metadata", where, "should be the inode table")
    if used:
        demand(r.get("part") == "inode", where, "should be inodes", used)
        check_inode(oracle, r, used, where)
    else:
        demand(r.get("part") in (None, "inode"), where, "should be inodes that nobody uses")


def check_owners(oracle, report, bad):
    rows = report["devices"][0]["badblocks"]["ranges"]
    covered = set()
    end = 0
    for r in rows:
        demand(r["offset"] >= end, "ranges overlap at", r)
        end = r["offset"] + r["length"]
        for sector in range(r["offset"] // SECTOR, (end + SECTOR - 1) // SECTOR):
            covered.add(sector)
            check_owner(oracle, r, sector)
    demand(covered == bad, "the report's ranges are not the list:", sorted(covered ^ bad)[:5])


def expected_status(report):
    owners = {r["owner"] for r in report["devices"][0]["badblocks"]["ranges"]}
    return (4 if owners & {"file", "metadata", "log"} else 0) | (8 if "unknown" in owners else 0)


def ways_for(oracle, bad, way):
    """Where no sector is any inode's, what is free and what has a fixed place is told by all filesystems."""
    if way != "walk" and any(oracle.owner(s)[2] for s in bad):
        return (way,)
    return (way, "reverse-map")


def check_scan(oracle, report, status, bad, way):
    demand(report["devices"][0]["badblocks"]["complete"], "the list is not complete")
    check_owners(oracle, report, bad)
    check_files(oracle, report, bad)
    filesystem = report["devices"][0]["filesystem"]
    demand(filesystem.get("lookup") in ways_for(oracle, bad, way), "owners were found by", filesystem.get("lookup"), "and not by",
           way)
    demand(status == expected_status(report), "exit status", status, "and not", expected_status(report))
    demand(report["complete"] == (status & 8 == 0), "complete is", report["complete"])


def check_places(oracle, report, run):
    """locate: each sector of a run has the owners that the oracle knows, where they lie in their files."""
    start, length = run
    expected, found = set(), set()
    for sector in range(start, start + length):
        block, within = divmod(sector * SECTOR, oracle.block)
        expected.update((sector, i, o + within) for i, o, _ in oracle.blocks.get(block, []))
    for p in report["places"]:
        first = p["offset"] // SECTOR
        for sector in range(first, (p["offset"] + p["length"] + SECTOR - 1) // SECTOR):
            demand(start <= sector < start + length, "not asked for:", p)
            if p["owner"] == "file":
                it = oracle.inodes[p["inode"]]
                found.add((sector, p["inode"], p["file_offset"] + sector * SECTOR - p["offset"]))
                demand(not it.names or names_of(p) == it.names, "names of", p, it.names)
                demand(p["past_eof"] == (p["file_offset"] >= it.size), "past_eof of", p)
            else:
                check_owner(oracle, p, sector)
    demand(found == expected, run, "\n  reported", sorted(found - expected)[:6], "\n  expected", sorted(expected - found)[:6])


# ---- the program


class Program:
    def __init__(self, device, root, block, options):
        self.program = os.environ["PMEM_RECOVER"]
        self.device = device
        self.root = root
        self.block = block
        self.knob = options.get("knob")
        self.region = options.get("region")
        self.list = root + ".bad"
        self.out = root + ".out"
        self.runs = 0
        self.saved = []

    def ask(self, *arguments):
        """(report, exit status)"""
        listed = [] if self.knob else [f"--badblocks={self.list}"]
        self.last = [self.program, arguments[0], *listed, *arguments[1:]]
        with open(self.out, "wb") as out, open(self.out + ".err", "wb") as err:
            status = subprocess.run(self.last, stdout=out, stderr=err, stdin=subprocess.DEVNULL).returncode
        self.runs += 1
        try:
            # a look at the schema takes longer than the rest
            if self.runs % 40 == 1 and not self.knob:
                return load(self.out), status
            with open(self.out, "rb") as f:
                return json.load(f), status
        except ValueError as e:
            raise Disagreement(f"no report, exit status {status}: {e}") from e

    def poison(self, bad):
        with open(self.list, "w") as f:
            for start, count in runs(bad):
                f.write(f"{start} {count}\n")
        if self.knob:
            each = self.block // SECTOR
            whole = {s - s % each + i for s in bad for i in range(each)}
            self.saved = [(start, self.read(start, count)) for start, count in pages(whole)]
            for start, count in runs(bad):
                self.inject(start, count)

    def inject(self, start, count):
        # kernels before 6.7 get more than 512 sectors wrong
        for at in range(start, start + count, 512):
            n = min(512, start + count - at)
            word = f"{at} {n}" if self.region is None else f"{int(self.region) + at * SECTOR},{n * SECTOR}"
            with open(self.knob, "w") as f:
                f.write(word)

    def heal(self):
        """What is written is good again; it is what was there, since metadata is among it."""
        for start, piece in self.saved:
            if not self.write(start, piece, os.O_DIRECT):
                # the kernel uses its page of the device's cache, and takes whole blocks there without reading them
                demand(self.write(start, piece, 0), "cannot make good what was poisoned at sector", start)
        self.saved = []

    def read(self, start, count):
        fd = os.open(self.device, os.O_RDONLY | os.O_DIRECT)
        with mmap.mmap(-1, count * SECTOR) as buffer:
            n = os.preadv(fd, [buffer], start * SECTOR)
            piece = buffer[:]
        os.close(fd)
        demand(n == len(piece), "cannot read sector", start)
        return piece

    def write(self, start, piece, flags):
        fd = os.open(self.device, os.O_WRONLY | flags)
        try:
            with mmap.mmap(-1, len(piece)) as buffer:
                buffer[:] = piece
                n = os.pwrite(fd, buffer, start * SECTOR)
            os.fsync(fd)
            return n == len(piece)
        except OSError:
            return False
        finally:
            os.close(fd)

    def why(self):
        with open(self.out + ".err", "rb") as f:
            lines = f.read().decode(errors="replace").splitlines()
        return "\n  ".join([" ".join(self.last)] + [line[:400] for line in lines[-30:]])


def joined(files):
    """What follows each other in file and device is one range: whether an ext4 without extents is listed across the border of
    its map's blocks in one piece or in two goes by what the kernel has in its cache."""
    for f in files:
        ranges = []
        for r in f["ranges"]:
            last = ranges[-1] if ranges else None
            other = {"offset", "length", "device_offset"}
            if last and all(last[key] + last["length"] == r[key] for key in ("offset", "device_offset")) and all(
                last[key] == r[key] for key in r.keys() - other
            ):
                last["length"] += r["length"]
            else:
                ranges.append(dict(r))
        f["ranges"] = ranges
    return files


def say_same(oracle, program, bad, way, rng, small):
    answers = []
    ways = [("auto", way, 4), ("walk", "walk", 4), ("auto", way, 1), ("walk", "walk", 1)]
    if small:
        threads = rng.choice([1, 4])
        ways = [("auto", way, threads), ("walk", "walk", 5 - threads)]
    for lookup, word, threads in ways:
        target = program.device if rng.random() < 0.1 else program.root
        report, status = program.ask("scan", f"--lookup={lookup}", f"--threads={threads}", target)
        check_scan(oracle, report, status, bad, word)
        answers.append((joined(report["files"]), report["devices"][0]["badblocks"]["ranges"], status))
    for answer in answers[1:]:
        demand(answer == answers[0], "the ways do not agree", [[x for x in a if x not in b][:3] for a, b in (
            (answer[0], answers[0][0]), (answers[0][0], answer[0]), (answer[1], answers[0][1]), (answers[0][1], answer[1]))])
    for start, length in rng.sample(runs(bad), min(1 if small else 2, len(runs(bad)))):
        run = (start, min(length, 64))
        report, status = program.ask("locate", program.device, f"{run[0] * SECTOR}+{run[1] * SECTOR}")
        check_places(oracle, report, run)


def size_of(device):
    with open(device, "rb") as f:
        return f.seek(0, 2)


def main(device, root, kind, block, way, first, last, *words):
    options = dict(w.partition("=")[::2] for w in words)
    small = "small" in options
    rng = random.Random(f"{kind} {block} {way} {first}")
    tree = Tree(root, rng, int(block), 360 if small else 1400)
    oracle = Oracle(root, device, kind, int(block), way == "reverse-map")
    oracle.size = int(options["size"].rstrip("M")) << 20 if "size" in options else size_of(device)
    program = Program(device, root, int(block), options)
    hits, good = {}, True
    avoid = {"directory", "inode", "extents", "metadata", "log", "unknown"} if small else set()
    began = time.monotonic()
    tree.begin(40 if small else 150)
    for seed in range(int(first), int(last) + 1):
        if seed > int(first):
            tree.change(15 if small else 60)
        oracle.look(tree.held)
        bad = make_list(oracle, rng, avoid, hits)
        program.poison(bad)
        try:
            say_same(oracle, program, bad, way, rng, small)
        except Disagreement as e:
            good = False
            print(f"FAIL: {kind} {block} {way}, seed {seed}: {e}\n  {program.why()}")
        if options.get("again") == str(seed):
            break
        program.heal()
    tree.close()
    print(f"{kind}, blocks of {block}, {way}: {len(oracle.inodes)} inodes, {len(oracle.blocks)} blocks, {program.runs} runs in "
          f"{time.monotonic() - began:.1f} s; hit: " + ", ".join(f"{n} {what}" for what, n in sorted(hits.items())))
    return good


if __name__ == "__main__":
    sys.exit(0 if main(*sys.argv[1:]) else 1)
