#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Long work: interrupted in the middle, and what a terminal shows of it.

A tracer stops the program behind its Nth reading of a directory (or of another thing), so that a signal meets the walk and
never its end; or makes each reading take its time.
"""
import fcntl
import os
import pty
import re
import signal
import subprocess
import sys
import time

import tools
from faults import LIMIT, Wrong, tracee, wait_for

ENV = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}  # which does not work under a tracer


def make(top, files, directories):
    """So many files, of a page each, in so many directories."""
    for d in range(int(directories)):
        os.mkdir(f"{top}/d{d}")
        for i in range(int(files) // int(directories)):
            with open(f"{top}/d{d}/f{i}", "wb") as f:
                f.write(b"x" * 700)
    os.sync()


class Stopped:
    """A run that was stopped behind one of its calls: "getdents64:10" is the tenth of a thread."""

    def __init__(self, work, call, command):
        name, number = call.split(":")
        self.trace = os.path.join(work, "trace")
        self.read, write = os.pipe()
        # full, with what no reader of JSON minds: whoever writes to it has to wait
        os.write(write, b" " * fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096))
        self.err = open(os.path.join(work, "err"), "wb")
        if os.path.exists(self.trace):
            os.unlink(self.trace)
        self.strace = subprocess.Popen(
            ["strace", "-f", "-o", self.trace, "-e", f"trace={name}"]
            + ["-e", f"inject={name}:signal=SIGSTOP:when={number}", *command],
            stdin=subprocess.DEVNULL,
            stdout=write,
            stderr=self.err,
            env=ENV,
        )
        os.close(write)
        wait_for("it is stopped", lambda: self.has_stopped() or self.strace.poll() is not None)
        if self.strace.poll() is not None:
            raise Wrong("it came to its end without being stopped")
        self.pid = tracee(self.strace.pid)

    def has_stopped(self):
        try:
            with open(self.trace) as f:
                return "--- stopped by SIGSTOP ---" in f.read()
        except FileNotFoundError:
            return False

    def signal(self):
        os.kill(self.pid, signal.SIGINT)

    def go_on(self):
        """Each of the threads may have come to the same number meanwhile."""
        try:
            os.kill(self.pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def threads(self):
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def is_writing(self):
        """It waits for the reader of its report, who does not read."""
        self.go_on()
        try:
            with open(f"/proc/{self.pid}/syscall") as f:
                return f.read().startswith("1 0x1 ")
        except (FileNotFoundError, ProcessLookupError):
            raise Wrong("it ended without writing its report") from None

    def rest(self):
        """All that is written from now on."""
        text = b""
        os.set_blocking(self.read, False)
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            self.go_on()
            try:
                piece = os.read(self.read, 1 << 20)
            except BlockingIOError:
                time.sleep(0.001)
                continue
            if not piece:
                return text
            text += piece
        raise Wrong("it does not end")

    def end(self):
        os.close(self.read)
        self.err.close()
        status = self.strace.wait(LIMIT)
        # strace ends as what it traces did
        return status

    def kill(self):
        for pid in self.pid, self.strace.pid:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


UNTOLD = ("unknown", None)  # the second: nobody was asked


def owners(d):
    """{sector: owner}; a run of sectors is cut elsewhere once more is known."""
    found = {}
    for device in d["devices"]:
        for r in device["badblocks"]["ranges"]:
            for at in range(r["offset"], r["offset"] + r["length"], tools.SECTOR):
                found[at] = r.get("owner")
    return found


def compare_scans(whole, part):
    """What an interrupted scan says is so, and what it does not know it does not deny."""
    for path, ranges in tools.losses(part).items():
        if not set(ranges) <= set(tools.losses(whole).get(path, [])):
            raise Wrong(f"{path}: {ranges}")
    known = owners(whole)
    wrong = [(at, o, known[at]) for at, o in owners(part).items() if o not in (known[at], *UNTOLD)]
    if wrong:
        raise Wrong(f"owners that are others in the whole: {wrong[:5]}")
    if part["summary"]["files_seen"] > whole["summary"]["files_seen"]:
        raise Wrong("it saw more files")
    if not set(owners(part).values()) & set(UNTOLD):
        raise Wrong("it found everything, and was interrupted in nothing")


def places(d):
    found = set()
    for p in d["places"]:
        for at in range(p["offset"], p["offset"] + p["length"], tools.SECTOR):
            found.add((at, p["owner"], p["inode"]))
    return found


def compare_places(whole, part):
    known = places(whole)
    wrong = [p for p in places(part) if p not in known and p[1] != "unknown"]
    if wrong:
        raise Wrong(f"places that are others in the whole: {wrong[:5]}")
    if all(p[1] != "unknown" for p in places(part)):
        raise Wrong("it found everything, and was interrupted in nothing")


def interrupt(work, call, whole, *command):
    """One signal: the partial report. Nobody walks any more when that is written. Two: an end at once."""
    whole = tools.load(whole)
    compare = compare_places if whole["command"] == "locate" else compare_scans
    for again in False, True:
        run = Stopped(work, call, command)
        try:
            run.signal()
            wait_for("the report is written", run.is_writing)
            if run.threads() != 1:
                raise Wrong("threads are left when the report is written")
            if again:
                run.signal()
            text = run.rest()
            status = run.end()
        finally:
            run.kill()
        if again:
            if status != -signal.SIGINT:
                raise Wrong(f"status {status} after a second signal")
            continue
        with open(os.path.join(work, "out"), "wb") as f:
            f.write(text)
        part = tools.load(os.path.join(work, "out"))
        if status not in (8, 12) or part["exit_status"] != status or part["complete"]:
            raise Wrong(f"status {status}, {part['exit_status']} in the report")
        if not any(m["code"] == "interrupted" for m in part["messages"]):
            raise Wrong("it does not say that it was interrupted")
        compare(whole, part)


# ---- a terminal

LINE = re.compile(r"\r\x1b\[K\x1b\[\?7l([^\x1b\r\n]*)\x1b\[\?7h")


def run_slowly(work, call, delay, command):
    """With a terminal as standard error, and calls that take so many more microseconds. What the terminal was sent, and the status."""
    master, slave = pty.openpty()
    with open(os.path.join(work, "out"), "wb") as out:
        process = subprocess.Popen(
            ["strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:delay_exit={delay}", *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=slave,
            env=ENV,
        )
    os.close(slave)
    text = b""
    while True:
        try:
            piece = os.read(master, 1 << 16)
        except OSError:  # nobody has the other end any more
            break
        if not piece:
            break
        text += piece
    os.close(master)
    return text.decode(), process.wait(LIMIT)


def terminal(work, call, delay, status, *words):
    """One line at a time, each of them as the terminal wants it, and none left; some are like each of these patterns."""
    command = words[words.index("--") + 1 :]
    patterns = words[: words.index("--")]
    text, ended = run_slowly(work, call, delay, command)
    if ended != int(status):
        raise Wrong(f"status {ended}: {text!r}")
    lines = LINE.findall(text)
    for pattern in patterns:
        if not any(re.fullmatch(pattern, line) for line in lines):
            raise Wrong(f"no line is like {pattern}: {lines}")
    if not patterns and re.search("\\r(?!\\n)|\\x1b", text):
        raise Wrong(f"not silent: {text!r}")
    for line in lines:
        if re.search(r" 0 (s|min|h|days) left|-[0-9]|inf|nan", line):
            raise Wrong(f"no time to wait: {line}")
    # what else is written comes when the line is gone, in lines of its own, and in the end it is gone
    others = LINE.split(text)[0::2]
    for other in others[1:]:
        if not re.fullmatch(r"(\r\x1b\[K([^\x1b\r\n]+\r\n)*)?", other):
            raise Wrong(f"behind a line: {other!r}")
    if lines and not others[-1]:
        raise Wrong("the line is still there")


COMMANDS = {"make": make, "interrupt": interrupt, "terminal": terminal}


def main():
    try:
        COMMANDS[sys.argv[1]](*sys.argv[2:])
    except (Wrong, subprocess.TimeoutExpired) as e:
        sys.exit(f"{' '.join(sys.argv[1:])}: {e}")


if __name__ == "__main__":
    main()
