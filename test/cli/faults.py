#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Repairs that are disturbed: calls that fail, and others who change the file between any two of its steps.

strace numbers the calls of one undisturbed repair; then each of them in turn is made to fail, or the repair is stopped
right behind it, somebody else does something to the file, and the repair goes on. Whatever happens: no byte that could
be read is lost, nothing that others did is undone, each sector is what it was or what it should be, and the report is
valid and says no more than is so.
"""
import json
import mmap
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import tools
from tools import PAGE, SECTOR

LIMIT = 60  # seconds, for what takes a fraction of one

# what a test may end with besides 0 and 1; anything else is a crash or an endless loop
STATUSES = range(0, 16)


class Wrong(Exception):
    """The test has found something."""


class Call:
    """One system call of a trace: which of its name it is, and on what."""

    def __init__(self, name, number, text):
        self.name, self.number, self.text = name, number, text

    def __str__(self):
        return f"{self.name} {self.number}: {self.text[:150]}"


def parse_trace(path, begin=None):
    """The calls of a trace, those before the first with `begin` in it numbered but left out."""
    calls, counts = [], {}
    begun = begin is None
    with open(path, errors="surrogateescape") as f:
        for line in f:
            found = re.match(r"(?:\d+ +)?(\w+)(\(.*)", line)
            if not found:
                continue
            name, text = found.groups()
            counts[name] = counts.get(name, 0) + 1
            begun = begun or begin in text
            if begun:
                calls.append(Call(name, counts[name], text))
    return calls


class Bench:
    """A file with poison, its backup, and repairs of it. What is poisoned reads as garbage on a loop device."""

    pages = 12
    tail = 700
    refusing = ()  # what the kernel may refuse to others while there is poison
    lost = (4096 + 512, 20480, 24576 + 3584, 40960 + 1024, 45056)
    undisturbed = 1  # what a repair that nobody disturbs ends with
    mode = 0o644

    def __init__(self, program, mount, image, work, *options):
        self.program, self.mount, self.image, self.work = program, mount, image, work
        self.options = list(options)
        self.path = os.path.join(mount, "file")
        self.backup = os.path.join(work, "backup")
        self.journal = os.path.join(work, "journal")
        self.trace = os.path.join(work, "trace")
        self.bad = os.path.join(work, "bad")
        self.points = 0
        self.missed = 0
        self.mixed = False  # a sector may be in part what it was, and in part what it should be
        self.ends = {}
        self.valid = {}
        self.make()

    # ---- the file

    def make(self):
        """Anew, whatever became of the last one."""
        for name in os.listdir(self.mount):
            if name != "lost+found":
                os.unlink(os.path.join(self.mount, name))
        tools.write(self.path, self.pages, None, self.tail)
        with open(self.path, "rb") as f:
            self.good = f.read()
        with open(self.backup, "wb") as f:
            f.write(self.good)
        self.find_places()
        self.damage()

    def find_places(self):
        """Where the sectors that will be lost lie on the device."""
        found = self.mapped()
        self.sector = {offset: found[offset] for offset in self.lost}
        with open(self.image, "rb") as f:
            for offset, place in self.sector.items():
                if os.pread(f.fileno(), 71, place) != self.good[offset : offset + 71]:
                    raise Wrong(f"the sector at {offset} is not where the filesystem says")

    def mapped(self):
        """{file offset of each sector: where it lies}"""
        tools.sync(self.mount)
        with open(self.path, "rb") as f:
            extents = tools.extents(f.fileno())
        found = {}
        for offset in range(0, len(self.good), SECTOR):
            (found[offset],) = [p + offset - l for l, p, n, _ in extents if l <= offset < l + n]
        return found

    def garbage(self, offset):
        return (b"garbage %d " % offset * SECTOR)[:SECTOR]

    def damage(self):
        """The same damage again; what is read next comes from the device."""
        fd = os.open(self.image, os.O_RDWR)
        with open(self.bad, "w") as f:
            for offset, place in self.sector.items():
                os.pwrite(fd, self.garbage(offset), place)
                f.write(f"{place // SECTOR} 1\n")
        os.close(fd)
        os.chmod(self.path, self.mode)
        self.forget()
        self.stat = os.stat(self.path)

    def forget(self):
        fd = os.open(self.path, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)

    def renew(self):
        """Before each run; cheap where the last one did nothing but repair in place."""
        if "--method=punch" in self.options:
            return self.make()
        try:
            same = os.stat(self.path).st_ino == self.stat.st_ino and self.read(self.path) in (self.good, None)
        except FileNotFoundError:
            same = False
        same = same and os.listdir(self.mount) in (["file"], ["file", "lost+found"], ["lost+found", "file"])
        if same and self.read(self.backup) == self.good:
            return self.damage()
        return self.make()

    def read(self, path):
        with open(path, "rb") as f:
            data = f.read()
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return data

    def sectors(self, data):
        return {at: data[at : at + SECTOR] for at in range(0, len(data), SECTOR)}

    # ---- runs

    def command(self):
        return [
            self.program,
            "repair",
            f"--badblocks={self.bad}",
            "--trust-badblocks",
            "-y",
            f"--journal={self.journal}",
            f"--from-backup={self.backup}",
            *self.options,
            self.path,
        ]

    def start(self, *strace):
        self.forget_journals()
        if os.path.exists(self.trace):
            os.unlink(self.trace)
        self.out = tempfile.TemporaryFile(dir=self.work)
        self.err = tempfile.TemporaryFile(dir=self.work)
        # LeakSanitizer does not work under a tracer
        return subprocess.Popen(
            ["strace", "-f", "-y", "-o", self.trace, *strace, *self.command()],
            stdin=subprocess.DEVNULL,
            stdout=self.out,
            stderr=self.err,
            env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"},
        )

    def forget_journals(self):
        """Of one that was left unfinished the next run would speak. And each run makes the same calls."""
        if not os.path.ismount(self.journal):
            if os.path.lexists(self.journal):
                shutil.rmtree(self.journal)
            return
        for name in set(os.listdir(self.journal)) - {"lost+found", "filler"}:
            os.unlink(os.path.join(self.journal, name))

    def end(self, process):
        try:
            status = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise Wrong("it does not end") from None
        if status not in STATUSES:
            raise Wrong(f"status {status}")
        self.ends[status] = self.ends.get(status, 0) + 1
        if os.environ.get("FAULTS_VERBOSE") and status != 1:
            with open(self.trace, errors="surrogateescape") as f:
                print(status, *[line.strip()[:160] for line in f if "INJECTED" in line], sep="\n    ")
        return status

    def run(self, *strace):
        return self.end(self.start(*strace))

    def said(self):
        self.err.seek(0)
        return self.err.read().decode(errors="replace")

    def report(self, status):
        """The report, valid, and of this status."""
        self.out.seek(0)
        text = self.out.read()
        try:
            d = json.loads(text)
        except ValueError:
            raise Wrong(f"the report is no JSON: {text[:200]}") from None
        # to validate takes longer than the repair; what differs in numbers alone is validated once
        key = re.sub(rb'\d+|"text": "[^"]*"', b"", text)
        if key not in self.valid:
            with tempfile.NamedTemporaryFile(dir=self.work) as f:
                f.write(text)
                f.flush()
                tools.load(f.name)
            self.valid[key] = True
        if d["exit_status"] != status:
            raise Wrong(f"status {status}, in the report {d['exit_status']}")
        if d["complete"] != (status & 8 == 0):
            raise Wrong("complete and exit_status contradict each other")
        self.check_journals(d)
        return d

    def check_journals(self, d):
        """Whatever --keep says: what was begun and failed may be needed."""
        failed = any(r["state"] == "failed" for f in d["files"] for r in f["ranges"])
        if failed and not any(name.endswith((".done", ".journal")) for name in os.listdir(self.journal)):
            raise Wrong("it failed, and its journal is gone")

    def states(self, d):
        """{file offset of each sector that is lost: its state}"""
        found = {}
        for f in d["files"]:
            for r in f["ranges"]:
                for offset in self.lost:
                    if r["offset"] <= offset < r["offset"] + r["length"]:
                        found[offset] = r["state"]
        return found

    # ---- what must be so

    def lies(self):
        """The repair's word for what it reads first: where a trace begins to matter."""
        return self.bad

    def check_bytes(self, data, changed=()):
        """Each sector is what it was; a lost one is that, or what it should be. `changed` by others: not looked at."""
        good = self.sectors(self.good)
        if len(data) != len(self.good):
            raise Wrong(f"{len(data)} bytes instead of {len(self.good)}")
        for offset, sector in self.sectors(data).items():
            if offset in changed or sector == good[offset]:
                continue
            if offset not in self.lost:
                raise Wrong(f"the sector at {offset}, which could be read, is another")
            was = self.garbage(offset)[: len(sector)]
            if self.mixed and all(x in y for x, *y in zip(sector, was, good[offset])):
                continue
            if sector != was:
                raise Wrong(f"the sector at {offset} is neither what it was nor what it should be")

    def check_honest(self, status, d, data, changed=()):
        """The report says no more than is so."""
        good, now = self.sectors(self.good), self.sectors(data)
        states = self.states(d)
        whole = all(now.get(o) == good[o] for o in self.lost if o not in changed)
        for offset, state in states.items():
            if state == "repaired" and offset not in changed and now.get(offset) != good[offset]:
                raise Wrong(f"the sector at {offset} is said to be repaired and is not")
        if status in (0, 1) and set(states) != set(self.lost):
            raise Wrong(f"status {status}, and it does not say what became of all that was lost")
        if status == 1 and not (whole and set(states.values()) == {"repaired"}):
            raise Wrong("status 1, and not all was repaired")
        if status == 0:
            raise Wrong("status 0")
        if set(states.values()) - {"repaired"} and not status & 12:
            raise Wrong(f"status {status}, and not all was repaired")

    def check(self, status):
        """After a run that nobody disturbed but for calls that failed."""
        data, d = self.read(self.path), self.report(status)
        more = data[len(self.good) :]
        # where its last page was written it has to be cut again; that this cannot be done must be said
        if more and not any(more) and any(r.get("reason") == "size" for f in d["files"] for r in f["ranges"]):
            data = data[: len(self.good)]
        self.check_bytes(data)
        st = os.stat(self.path)
        if (st.st_mode, st.st_uid, st.st_ino) != (self.stat.st_mode, self.stat.st_uid, self.stat.st_ino):
            raise Wrong("the file's inode, owner or mode changed")
        self.check_honest(status, d, data)
        return data

    # ---- points

    def calls(self, names, where=None):
        """The calls of an undisturbed repair from the reading of the list on, by name, and by what their line has."""
        self.renew()
        status = self.run("-e", "trace=" + ",".join(sorted(ALL)))
        if status != self.undisturbed:
            raise Wrong(f"an undisturbed repair ends with {status}\n{self.said()}")
        self.check(status)
        calls = parse_trace(self.trace, self.lies())
        calls = [c for c in calls if c.name in names and (not where or re.search(where, c.text))]
        if not calls:
            raise Wrong("no calls: nothing is tested")
        return calls

    def was_injected(self, call):
        with open(self.trace, errors="surrogateescape") as f:
            return any("(INJECTED)" in line for line in f)

    def each(self, calls, test):
        """test(call) for each; how many went wrong."""
        wrong = 0
        for call in calls:
            self.renew()
            self.points += 1
            try:
                test(call)
            except Wrong as e:
                wrong += 1
                print(f"WRONG: {e}\n  at {call}")
                if wrong <= 3:
                    print("  " + self.said().replace("\n", "\n  ")[:1500])
                if wrong == 20:
                    break
        return wrong


class TailBench(Bench):
    """What is lost lies behind the end alone, in the last page: no byte is missed, and what goes wrong must be said all the same."""

    pages = 6
    lost = ()
    behind = 20480 + 3072
    undisturbed = 0

    def damage(self):
        super().damage()
        with open(self.bad, "w") as f:
            f.write(f"{(self.mapped()[20480] + self.behind - 20480) // SECTOR} 1\n")
        self.forget()

    def check_honest(self, status, d, data, changed=()):
        states = [r["state"] for f in d["files"] for r in f["ranges"]]
        if status & 4 == 0 and "failed" in states:
            raise Wrong(f"status {status}, and it failed")
        if status & 12 == 0 and os.path.getsize(self.path) != len(self.good):
            raise Wrong(f"status {status}, and the file has another size")
        kept = [name for name in os.listdir(self.journal) if name.endswith(".journal")]
        reasons = {r.get("reason") for f in d["files"] for r in f["ranges"]}
        if reasons & {"size", "sync"} and not kept:
            raise Wrong(f"something is still to be done ({reasons}), and its journal is done")


class DaxBench(Bench):
    """The same in a guest with PMEM: what is lost is poisoned, and cannot be read. TREE names the helper of the guest tests."""

    pages = 8
    # an append to a last page with poison
    refusing = ("extended", "filled")
    lost = (4096 + 512, 12288 + 3584, 28672)
    region = "/sys/module/pmr_test/parameters"

    def __init__(self, program, mount, device, work, *options):
        self.tree = os.environ["TREE"]
        self.disk = os.path.basename(device)
        super().__init__(program, mount, device, work, *options)

    def command(self):
        return [x for x in super().command() if not x.startswith("--badblocks=") and x != "--trust-badblocks"]

    def lies(self):
        return self.path

    def make(self):
        # whatever is listed goes, whoever owns its blocks now
        subprocess.check_call([self.tree, "clear", self.image])
        super().make()

    def find_places(self):
        self.sector = self.mapped()

    def inject(self, place):
        if not os.path.isdir(self.region):
            where, text = f"/sys/block/{self.disk}/badblocks", f"{place // SECTOR} 1\n"
        else:
            below = os.path.realpath(f"/sys/block/{self.disk}/device")
            start = self.number(below + "/resource") - self.number(below + "/../resource")
            where, text = self.region + "/inject", f"{start + place},{SECTOR}"
        with open(where, "w") as f:
            f.write(text)

    @staticmethod
    def number(path):
        with open(path) as f:
            return int(f.read(), 0)

    def damage(self):
        for offset in self.lost:
            place = self.sector[offset]
            subprocess.check_call([self.tree, "scramble", self.image, str(place // SECTOR), "1"])
            self.inject(place)
        self.stat = os.stat(self.path)

    def read(self, path):
        """What is lost reads as garbage; what is not, and cannot be read even so, as something else."""
        data = bytearray()
        fd = os.open(path, os.O_RDONLY)
        size = os.fstat(fd).st_size
        for page in range(0, size, PAGE):
            try:
                data += os.pread(fd, PAGE, page)
            except OSError:
                data += self.read_device(fd, page, min(PAGE, size - page))
        os.close(fd)
        return bytes(data)

    def read_device(self, fd, page, length):
        extents = tools.extents(fd)
        data = bytearray()
        device = os.open(self.image, os.O_RDONLY | os.O_DIRECT)
        # O_DIRECT wants memory that is aligned
        with mmap.mmap(-1, PAGE) as memory, memoryview(memory)[:SECTOR] as sector:
            for offset in range(page, page + length, SECTOR):
                (place,) = [p + offset - l for l, p, n, _ in extents if l <= offset < l + n]
                try:
                    os.preadv(device, [sector], place)
                    data += sector
                except OSError:
                    data += self.garbage(offset) if offset in self.lost else b"?" * SECTOR
        os.close(device)
        return bytes(data[:length])


ALL = {
    "read", "write", "pread64", "preadv2", "pwrite64", "pwritev2", "openat", "close", "fsync", "fdatasync", "ioctl",
    "fallocate", "ftruncate", "flock", "ppoll", "poll", "fcntl", "renameat", "renameat2", "unlinkat", "mkdir", "mkdirat",
    "getdents64", "statx", "newfstatat", "fstatfs", "fgetxattr", "copy_file_range", "sync_file_range", "syncfs",
}  # fmt: skip
# close never says that it was not done, and the man page forbids to try again
INTERRUPTIBLE = ALL - {"close", "statx", "newfstatat", "fgetxattr", "mkdir", "mkdirat", "unlinkat"}
WRITES = {"write", "pwrite64", "pwritev2", "fsync", "fdatasync", "ftruncate", "fallocate", "renameat", "renameat2"}


def is_report(call):
    """On stdout or stderr: there is then no report, or not all of it."""
    return call.name == "write" and re.match(r"\([12]<", call.text)


def fail_each(bench, names, error, where=None, media_untouched=False, ever=False):
    """Each call in turn fails, and with `ever` all of its name behind it.

    With `media_untouched`, a failure before the first write to the file leaves it as it was."""
    last = "+" if ever else ""
    calls = bench.calls(names, where)
    with open(bench.trace, errors="surrogateescape") as f:
        lines = f.read().splitlines()
    first_write = next(i for i, x in enumerate(lines) if re.search(r" (pwritev2|fallocate)\(\d+<" + re.escape(bench.path), x))
    early = {(c.name, c.number) for c in parse_trace_lines(lines[:first_write])}

    def test(call):
        status = bench.run("-e", f"trace={','.join(sorted(ALL))}", "-e", f"inject={call.name}:error={error}:when={call.number}{last}")
        if not bench.was_injected(call):
            # what others mount and unmount meanwhile takes some calls more or fewer to be read
            bench.missed += 1
            if status != bench.undisturbed or bench.missed > 5:
                raise Wrong(f"nothing was injected, {bench.missed} times")
        if is_report(call) and status & 8:
            bench.check_bytes(bench.read(bench.path))
            return
        data = bench.check(status)
        if media_untouched and (call.name, call.number) in early and status != 1:
            if any(data[o : o + SECTOR] != bench.garbage(o)[: len(data) - o] for o in bench.lost):
                raise Wrong("it was written, though there is no journal")

    return bench.each(calls, test)


def lie_each(bench):
    """Each write in turn is not done, and says that it was, or that a part of it was."""

    def test(call):
        length = int(re.search(r" = (\d+)$", call.text).group(1))
        for said in sorted({0, 1, SECTOR, length // 2, length - 1, length}):
            bench.renew()
            status = bench.run(
                "-e", f"trace={','.join(sorted(ALL))}", "-e", f"inject={call.name}:retval={said}:when={call.number}"
            )
            if not bench.was_injected(call):
                raise Wrong("nothing was injected")
            bench.check(status)
            bench.points += 1

    places = re.escape(bench.path) + "|" + re.escape(bench.journal) + "/"
    return bench.each(bench.calls({"write", "pwrite64", "pwritev2"}, places), test)


def fill_journal(bench):
    """The journal's filesystem has room for nothing, then for a little more each time, until it is enough."""
    filler = os.path.join(bench.journal, "filler")
    status, room = 0, 0
    while status != 1:
        bench.renew()
        bench.points += 1
        bench.forget_journals()
        fd = os.open(filler, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        st = os.fstatvfs(fd)
        os.posix_fallocate(fd, 0, st.f_bavail * st.f_frsize - room)
        os.close(fd)
        status = bench.run()
        data = bench.check(status)
        if status != 1 and not status & 8:
            raise Wrong(f"{room} bytes for the journal: status {status}")
        if not room and any(data[o : o + SECTOR] == bench.good[o : o + SECTOR] for o in bench.lost):
            raise Wrong("it was written, though there is no room for a journal")
        room += 2048
        if room > 1 << 20:
            raise Wrong("a mebibyte is not enough for the journal")
    return 0


def parse_trace_lines(lines):
    counts = {}
    for line in lines:
        found = re.match(r"(?:\d+ +)?(\w+)(\(.*)", line)
        if found:
            name = found.group(1)
            counts[name] = counts.get(name, 0) + 1
            yield Call(name, counts[name], found.group(2))


# ---- what others do to the file


def other_bytes(n, seed=7):
    return bytes((i * seed + i // 251) % 256 for i in range(n))


class Action:
    """Something that another program does to the file. `do` runs in a process of its own, as it may have to wait."""

    def __init__(self, name, do, check, aim="path"):
        self.name, self.do, self.check, self.aim = name, do, check, aim


def truncate(b):
    os.truncate(b.path, 22000)


def check_truncated(b, data, d, status):
    if len(data) != 22000:
        raise Wrong(f"truncated to 22000 bytes, and now there are {len(data)}")
    at = 22000 - 22000 % SECTOR
    b.check_bytes(data + b.good[22000:], set(range(at, len(b.good), SECTOR)))
    if data[at:] != b.good[at:22000]:
        raise Wrong("the sector that the cut goes through is another")


def empty(b):
    os.truncate(b.path, 0)


def check_emptied(b, data, d, status):
    if data:
        raise Wrong(f"truncated to nothing, and now there are {len(data)} bytes")


def extend(b):
    append(b, 5000)


def check_extended(b, data, d, status):
    check_appended(b, data, d, status, 5000)


def fill(b):
    """Just as long as a repair makes it."""
    append(b, -len(b.good) % PAGE)


def check_filled(b, data, d, status):
    check_appended(b, data, d, status, -len(b.good) % PAGE)


def append(b, length):
    with open(b.path, "ab") as f:
        f.write(other_bytes(length))


def check_appended(b, data, d, status, length):
    gap = data[len(b.good) : -length]
    if data[-length:] != other_bytes(length) or any(gap):
        raise Wrong(f"{length} bytes were appended to {len(b.good)}, and now there are {len(data)}, the end of them others")
    # where the lease was lost while the last page was whole: what came behind it then must stay there
    if gap and not any(m["code"] == "changed" for m in d["messages"]):
        raise Wrong(f"{length} bytes were appended to {len(b.good)}, and now there are {len(data)}, and nothing is said")
    b.check_bytes(data[: len(b.good)])
    b.check_honest(status, d, data)


def grow(b):
    os.truncate(b.path, len(b.good) + 9000)


def check_grown(b, data, d, status):
    if data[len(b.good) :] != bytes(9000):
        raise Wrong(f"grown by 9000 bytes to {len(b.good) + 9000}, and now there are {len(data)}")
    b.check_bytes(data[: len(b.good)])
    b.check_honest(status, d, data)


def punch(b):
    subprocess.check_call(["fallocate", "--punch-hole", "--offset", "12288", "--length", "12288", b.path])


def check_punched(b, data, d, status):
    if data[12288:24576] != bytes(12288):
        raise Wrong("what was punched is back")
    hole = set(range(12288, 24576, SECTOR))
    b.check_bytes(data, hole)
    b.check_honest(status, d, data, hole)


def rewrite(b):
    """All whole pages: less than a page cannot be written where there is poison."""
    length = len(b.good) // PAGE * PAGE
    fd = os.open(b.path, os.O_RDWR)
    if os.pwrite(fd, other_bytes(length), 0) != length:
        raise OSError("a short write")
    os.fsync(fd)
    os.close(fd)


def check_rewritten(b, data, d, status):
    length = len(b.good) // PAGE * PAGE
    if data[:length] != other_bytes(length):
        raise Wrong("rewritten, and now it is something else")
    pages = set(range(0, length, SECTOR))
    b.check_bytes(data, pages)
    b.check_honest(status, d, data, pages)


def rewrite_page(b):
    fd = os.open(b.path, os.O_RDWR)
    os.pwrite(fd, other_bytes(PAGE), 4096)
    os.fsync(fd)
    os.close(fd)


def check_page(b, data, d, status):
    if data[4096:8192] != other_bytes(PAGE):
        raise Wrong("a page that was rewritten is something else")
    page = set(range(4096, 8192, SECTOR))
    b.check_bytes(data, page)
    b.check_honest(status, d, data, page)


def replace(b):
    with open(b.path + ".new", "wb") as f:
        f.write(other_bytes(30000))
        os.fsync(f.fileno())
    os.link(b.path, b.path + ".old")
    os.rename(b.path + ".new", b.path)


def check_replaced(b, data, d, status):
    if data != other_bytes(30000):
        raise Wrong("another file was put in its place, and is something else")
    old = b.read(b.path + ".old")
    b.check_bytes(old)
    b.check_honest(status, d, old)


def rename(b):
    os.rename(b.path, b.path + ".moved")


def check_renamed(b, data, d, status):
    if os.path.exists(b.path):
        raise Wrong("it was renamed, and its old name is back")
    data = b.read(b.path + ".moved")
    b.check_bytes(data)
    b.check_honest(status, d, data)


def unlink(b):
    os.link(b.path, b.path + ".other")
    os.unlink(b.path)


def check_unlinked(b, data, d, status):
    if os.path.exists(b.path):
        raise Wrong("it was unlinked, and is back")
    data = b.read(b.path + ".other")
    b.check_bytes(data)
    b.check_honest(status, d, data)


def remove(b):
    os.unlink(b.path)


def check_removed(b, data, d, status):
    if os.path.exists(b.path):
        raise Wrong("it was unlinked, and is back")
    if status == 0:
        raise Wrong("status 0")


def chmod(b):
    os.chmod(b.path, 0o4711)


def check_mode(b, data, d, status):
    # a set-id bit goes with any write that follows, repair's or not
    if os.stat(b.path).st_mode & 0o777 != 0o711:
        raise Wrong(f"chmod 4711, and now its mode is {os.stat(b.path).st_mode:o}")
    b.check_bytes(data)
    b.check_honest(status, d, data)


def unset(b):
    """chmod u-s,g-s: what a write by itself may do as well."""
    os.chmod(b.path, b.mode & 0o777)


def check_unset(b, data, d, status):
    if os.stat(b.path).st_mode & 0o7777 != b.mode & 0o777:
        raise Wrong(f"its set-id bits were taken away, and now its mode is {os.stat(b.path).st_mode:o}")
    b.check_bytes(data)
    b.check_honest(status, d, data)


def cut_backup(b):
    os.truncate(b.backup, 30000)


def check_backup(b, data, d, status):
    b.check_bytes(data)
    b.check_honest(status, d, data)


def remove_backup(b):
    os.unlink(b.backup)
    open(b.backup, "w").close()


def spoil_backup(b):
    """In place, as rsync --inplace does, and none of it the same."""
    with open(b.backup, "r+b") as f:
        f.write(bytes(x ^ 255 for x in b.good))


ACTIONS = {
    a.name: a
    for a in (
        Action("truncated", truncate, check_truncated),
        Action("extended", extend, check_extended),
        Action("filled", fill, check_filled),
        Action("emptied", empty, check_emptied),
        Action("grown", grow, check_grown),
        Action("punched", punch, check_punched),
        Action("rewritten", rewrite, check_rewritten),
        Action("page-rewritten", rewrite_page, check_page),
        Action("replaced", replace, check_replaced),
        Action("renamed", rename, check_renamed),
        Action("unlinked", unlink, check_unlinked),
        Action("removed", remove, check_removed),
        Action("chmod", chmod, check_mode),
        Action("backup-cut", cut_backup, check_backup),
        Action("backup-gone", remove_backup, check_backup),
    )
}
UNSET = Action("set-id-unset", unset, check_unset)
# what is done to a backup while it is read
SPOILED = Action("backup-spoiled", spoil_backup, check_backup)


def tracee(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        children = f.read().split()
    return int(children[0]) if children else None


def wait_for(what, is_so):
    begin = time.monotonic()
    while not is_so():
        waited = time.monotonic() - begin
        if waited > LIMIT:
            raise Wrong(f"waited in vain until {what}")
        # what takes long here, as on an emulated CPU, is not asked for all the time
        time.sleep(max(0.001, waited / 20))


def wait_stopped(bench, process):
    """True when the repair is stopped; False where it has ended before that. Under a tracer /proc does not tell."""

    def stopped():
        try:
            with open(bench.trace, errors="surrogateescape") as f:
                return "--- stopped by SIGSTOP ---" in f.read()
        except FileNotFoundError:
            return False

    wait_for("it is stopped", lambda: stopped() or process.poll() is not None)
    return stopped()


def act(bench, action):
    """The action in a process of its own; its status when it has ended."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        action.do(bench)
        status = 0
    except BaseException as e:  # the child ends here, whatever it is
        print(f"{action.name}: {e}", flush=True)
    os._exit(status)


def waits_for_lease(pid):
    """It waits for the repair to let go of the file, and will until the repair goes on."""
    for task in [pid, *children_of(pid)]:
        try:
            with open(f"/proc/{task}/wchan") as f:
                if "break_lease" in f.read():
                    return True
        except OSError:
            pass
    return False


def children_of(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return f.read().split()
    except OSError:
        return []


def race_each(bench, action, names, where=None, late=False, asking=0):
    """The repair is stopped behind each call, the action begins, and the repair goes on once that is done or waits.

    late: only once it is done: the repair was stopped for longer than it may keep others waiting.
    asking: it then takes so many seconds over the next file that it opens, the list of leases: as long as it may keep others
    waiting, and longer."""
    calls, opened = [], {}
    for c in bench.calls(names | {"openat"}):
        if c.name == "openat":
            opened["last"] = c.number
        if c.name in names and (not where or re.search(where, c.text)) and not is_report(c):
            calls.append(c)
            opened[c] = opened.get("last", 0) + 1
    if not calls:
        raise Wrong("no calls: nothing is tested")

    def test(call):
        injected = ["-e", f"trace={','.join(sorted(ALL))}", "-e", f"inject={call.name}:signal=SIGSTOP:when={call.number}"]
        if asking:
            injected += ["-e", f"inject=openat:delay_exit={asking * 1000000}:when={opened[call]}"]
        process = bench.start(*injected)
        if not wait_stopped(bench, process):
            bench.end(process)
            raise Wrong("it was not stopped")
        repair = tracee(process.pid)
        other = act(bench, action)
        ended = [None]

        def is_over():
            if ended[0] is None:
                pid, status = os.waitpid(other, os.WNOHANG)
                if pid:
                    ended[0] = status
            return ended[0] is not None

        try:
            wait_for("the other is done or waits", lambda: is_over() or (not late and waits_for_lease(other)))
        finally:
            os.kill(repair, signal.SIGCONT)
        status = bench.end(process)
        wait_for("the other is done", is_over)
        d = bench.report(status)
        if ended[0] and action.name in bench.refusing and os.path.getsize(bench.path) == len(bench.good):
            bench.check(status)
            return
        if ended[0]:
            raise Wrong("what the other did failed")
        data = bench.read(bench.path) if os.path.exists(bench.path) else None
        if status == 0:
            raise Wrong("status 0")
        action.check(bench, data, d, status)

    return bench.each(calls, test)


def main():
    what, program, mount, image, work, *options = sys.argv[1:]
    what, _, which = what.partition("=")
    kind = DaxBench if what.startswith("dax-") else TailBench if what == "tail" else Bench
    bench = kind(program, mount, image, work, *options)
    wrong = 0
    if what == "interrupted":
        wrong = fail_each(bench, INTERRUPTIBLE, "EINTR")
    elif what == "journal":
        # the directory too; stdio and the memory are no journals
        for error in "ENOSPC", "EIO":
            wrong += fail_each(bench, WRITES | {"openat", "mkdir"}, error, re.escape(bench.work + "/journal"), True)
        wrong += fail_each(bench, {"pread64", "preadv2", "read"}, "EIO", re.escape(bench.work + "/journal/"), True)
    elif what == "full":
        wrong = fill_journal(bench)
    elif what == "lies":
        bench.mixed = True
        wrong = lie_each(bench)
    elif what == "backup":
        wrong = fail_each(bench, {"pread64", "openat", "read"}, "EIO", re.escape(bench.backup))
    elif what == "file":
        for error in "EIO", "ENOSPC":
            wrong += fail_each(bench, WRITES | {"openat", "fcntl", "ioctl"}, error, re.escape(bench.path))
    elif what == "tail":
        wrong = fail_each(bench, WRITES, "EIO", re.escape(bench.path), ever=True)
    elif what == "backup-race":
        wrong = race_each(bench, SPOILED, {"pread64"}, re.escape(bench.backup))
    elif what == "set-id-race":
        bench.mode = 0o6755
        bench.make()
        wrong = race_each(bench, UNSET, WRITES, re.escape(bench.path))
    elif what == "race":
        race_names = WRITES | {"flock"}
        for name in which.split(",") if which else ACTIONS:
            wrong += race_each(bench, ACTIONS[name], race_names)
    elif what == "dax-race":
        for name in which.split(","):
            wrong += race_each(bench, ACTIONS[name], WRITES, re.escape(bench.path))
    elif what == "dax-asking":
        for name in which.split(","):
            wrong += race_each(bench, ACTIONS[name], {"pwritev2"}, re.escape(bench.path), asking=3)
    elif what in ("late", "dax-late"):
        # between the last look and the write that follows nothing can be done: behind the writes themselves. A punch can be
        # stopped behind the look at the free space, and what others write before it must not be what it gives back
        names = {"fstatfs"} if "--method=punch" in options else WRITES
        for name in which.split(","):
            wrong += race_each(bench, ACTIONS[name], names, re.escape(bench.path), late=True)
    ends = ", ".join(f"{n} ended with {status}" for status, n in sorted(bench.ends.items()))
    print(f"{what}{' ' if which else ''}{which}: {bench.points} points, {wrong} wrong ({ends})")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
