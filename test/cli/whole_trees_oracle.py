# SPDX-License-Identifier: GPL-2.0-or-later
"""Who has each block of a filesystem, found the slow way: every file is asked, and the filesystem's own tools are.

Files: os.walk and FIEMAP. The rest of ext4: debugfs and dumpe2fs. The rest of XFS: all records of its reverse map where it
has one, and of its free space where not.
"""
import errno
import fcntl
import os
import re
import stat
import struct
import subprocess

SECTOR = 512
FIEMAP, GETFSMAP, FREEZE, THAW = 0xC020660B, 0xC0C0583B, 0xC0045877, 0xC0045878
LAST, UNTRUSTED, UNWRITTEN, SHARED = 1, 2 | 4 | 8 | 0x80 | 0x100 | 0x200 | 0x400, 0x800, 0x2000


def fiemap(fd, flags=1):
    """[(offset, physical, length, flags)]"""
    found, at, n = [], 0, 256
    while True:
        buffer = bytearray(struct.pack("=QQLLLL", at, 2**64 - 1 - at, flags, 0, n, 0) + bytes(56 * n))
        fcntl.ioctl(fd, FIEMAP, buffer)
        got = struct.unpack_from("=QQLLLL", buffer)[3]
        for i in range(got):
            offset, physical, length, _, _, extent = struct.unpack_from("=QQQQQL", buffer, 32 + 56 * i)
            found.append((offset, physical, length, extent))
        if not got or found[-1][3] & LAST:
            return found
        at = found[-1][0] + found[-1][2]


def fsmap(fd):
    """[(physical, length, owner, offset, flags)] of all of the device that the directory lies on."""
    device = os.fstat(fd).st_dev
    major, minor = os.major(device), os.minor(device)
    kernel = (minor & 0xFF) | major << 8 | (minor & ~0xFF) << 12
    low = struct.pack("=LLQQQQ24x", kernel, 0, 0, 0, 0, 0)
    high = struct.pack("=LLQQQQ24x", 2**32 - 1, 2**32 - 1, 2**64 - 1, 2**64 - 1, 2**64 - 1, 0)
    found, n = [], 512
    while True:
        buffer = bytearray(struct.pack("=LLLL48x", 0, 0, n, 0) + low + high + bytes(64 * n))
        fcntl.ioctl(fd, GETFSMAP, buffer)
        got = struct.unpack_from("=LLLL", buffer)[3]
        for i in range(got):
            where = 192 + 64 * i
            dev, flags, physical, owner, offset, length = struct.unpack_from("=LLQQQQ", buffer, where)
            if dev == kernel:
                found.append((physical, length, owner, offset, flags))
            low = bytes(buffer[where : where + 64])
            if flags & 0x20:
                return found
        if not got:
            return found


class Owned:
    """A file that has blocks: what is said of it in a report."""

    def __init__(self, st):
        self.inode = st.st_ino
        self.mode = st.st_mode
        self.size = st.st_size
        self.names = set()
        self.extents = []


class Oracle:
    """After look(): @blocks: {block: [(inode, offset, flags)]} of files; @metadata: {block: (owner, part, inodes)} of the
    rest, where part and inodes are None where a report need not say them; @inodes: {inode: Owned}"""

    def __init__(self, root, device, kind, block, rmap):
        self.root = os.fsencode(root)
        self.device = device
        self.kind = kind
        self.block = block
        self.rmap = rmap
        self.size = None

    # ---- files

    def add(self, st, path, fd):
        new = st.st_ino not in self.inodes
        it = self.inodes.setdefault(st.st_ino, Owned(st))
        if path is not None:
            it.names.add(path)
        if not new:
            return
        if stat.S_ISREG(st.st_mode) or stat.S_ISDIR(st.st_mode):
            mine = fd if fd is not None else os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                it.extents = fiemap(mine)
            except OSError as e:
                # XFS answers for regular files alone
                if e.errno != errno.EOPNOTSUPP or not stat.S_ISDIR(st.st_mode):
                    raise
            # and what is in the page cache is not lost
            os.posix_fadvise(mine, 0, 0, os.POSIX_FADV_DONTNEED)
            if fd is None:
                os.close(mine)
        if stat.S_ISREG(st.st_mode):
            for offset, physical, length, flags in it.extents:
                assert not flags & UNTRUSTED, (path, flags)
                for at in range(0, length, self.block):
                    self.blocks.setdefault((physical + at) // self.block, []).append((st.st_ino, offset + at, flags))

    def walk(self, held):
        self.add(os.lstat(self.root), self.root, None)
        for top, dirs, names in os.walk(self.root):
            for name in dirs + names:
                path = os.path.join(top, name)
                self.add(os.lstat(path), path, None)
        for fd in held:
            self.add(os.fstat(fd), None, fd)

    def tell(self, block, owner, part=None, inodes=None):
        self.metadata[block] = (owner, part, inodes)

    def tell_directories(self):
        for it in self.inodes.values():
            if stat.S_ISDIR(it.mode):
                for offset, physical, length, flags in it.extents:
                    for at in range(0, length, self.block):
                        self.tell((physical + at) // self.block, "metadata", "directory", {it.inode})

    # ---- ext4

    def stats(self):
        """{inode: (attribute block, [(what, first, last)])} as debugfs tells them"""
        numbers = sorted(set(self.inodes) | set(range(1, 13)))
        script = "".join(f"stat <{n}>\n" for n in numbers)
        out = subprocess.run(["debugfs", "-f", "-", self.device], input=script.encode(), capture_output=True).stdout
        found = {}
        pieces = re.split(rb"^debugfs: stat <(\d+)>\n", out, flags=re.M)[1:]
        for n, text in zip(pieces[::2], pieces[1::2]):
            acl = re.search(rb"File ACL: (\d+)", text)
            where = re.search(rb"^(?:EXTENTS|BLOCKS):\n(.*)$", text, re.M)
            rows = []
            for what, first, last in re.findall(rb"\(([^)]*)\):(\d+)(?:-(\d+))?", where[1] if where else b""):
                rows.append((what.decode(), int(first), int(last or first)))
            found[int(n)] = (int(acl[1]) if acl else 0, rows)
        return found

    def tell_ext4_inodes(self):
        for inode, (attributes, rows) in self.stats().items():
            it = self.inodes.get(inode)
            if attributes:
                known = self.metadata.get(attributes, (None, None, set()))[2]
                self.tell(attributes, "metadata", "attributes", known | {inode})
            for what, first, last in rows:
                for block in range(first, last + 1):
                    if inode == 8 and what[0].isdigit():
                        self.tell(block, "log")
                    elif not it:
                        self.tell(block, "metadata")
                    elif not what[0].isdigit():
                        self.tell(block, "metadata", "extents", {inode})
                    elif stat.S_ISREG(it.mode):
                        assert inode in [x[0] for x in self.blocks[block]], (inode, block)
                    else:
                        kind = {stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}[stat.S_IFMT(it.mode)]
                        self.tell(block, "metadata", kind, {inode})

    def look_ext4(self):
        out = subprocess.run(["dumpe2fs", self.device], capture_output=True, check=True).stdout.decode()
        self.inode_size = int(re.search(r"^Inode size:\s*(\d+)", out, re.M)[1])
        per_group = int(re.search(r"^Inodes per group:\s*(\d+)", out, re.M)[1])
        for line in re.findall(r"^  Free blocks: (.*)$", out, re.M):
            for first, last in re.findall(r"(\d+)(?:-(\d+))?", line):
                for block in range(int(first), int(last or first) + 1):
                    self.tell(block, "free")
        for group, (first, last) in enumerate(re.findall(r"^  Inode table at (\d+)-(\d+)", out, re.M)):
            for block in range(int(first), int(last) + 1):
                number = group * per_group + (block - int(first)) * self.block // self.inode_size + 1
                self.tables[block] = number
                self.tell(block, "metadata", "inode", None)
        self.tell_ext4_inodes()

    # ---- XFS

    def look_xfs(self):
        names = {(0, 1): "free", (0, 2): "unknown", (ord("X"), 2): "log", (ord("X"), 7): "unwritten"}
        fd = os.open(self.root, os.O_RDONLY)
        records = fsmap(fd)
        os.close(fd)
        told = {}
        for physical, length, owner, _, flags in records:
            inode = None if flags & 0x10 else owner
            it = self.inodes.get(inode)
            assert inode is None or it or owner < 1024, f"inode {inode} has blocks and no name"
            for block in range(physical // self.block, (physical + length) // self.block):
                if inode is None:
                    self.tell(block, names.get((owner >> 32, owner & 0xFFFFFFFF), "metadata"))
                elif flags & 6:
                    self.tell(block, "metadata", "attributes" if flags & 2 else "extents", {inode} if it else None)
                elif not it:
                    self.tell(block, "metadata")
                elif stat.S_ISREG(it.mode):
                    told.setdefault(block, set()).add(inode)
                else:
                    self.tell(block, "metadata", "directory" if stat.S_ISDIR(it.mode) else "symlink", {inode})
        if self.rmap:
            asked = {block: {x[0] for x in rows} for block, rows in self.blocks.items()}
            assert told == asked, "FIEMAP and the reverse map do not agree: " + str(
                [(b, told.get(b), asked.get(b)) for b in set(told) | set(asked) if told.get(b) != asked.get(b)][:5])
        self.tell_directories()

    # ---- all of it

    def settle(self):
        """All is where it stays: written, what was deleted is given back, and tools that read the device see it."""
        fd = os.open(self.root, os.O_RDONLY)
        try:
            subprocess.check_call(["sync", "-f", self.root])
            if self.kind == "xfs":
                fcntl.ioctl(fd, FREEZE, 0)
                fcntl.ioctl(fd, THAW, 0)
        finally:
            os.close(fd)

    def look(self, held):
        self.inodes, self.blocks, self.metadata, self.tables = {}, {}, {}, {}
        self.settle()
        self.walk(held)
        if self.kind == "xfs":
            self.look_xfs()
        else:
            self.look_ext4()
        for block in self.blocks:
            assert self.metadata.get(block, ("unknown",))[0] == "unknown", (block, self.metadata[block], self.blocks[block])

    # ---- what is to be said of bad sectors

    def files(self, sectors):
        """{inode: [(offset, length, device offset, state, shared)]}, joined"""
        found = {}
        for sector in sorted(sectors):
            block, within = divmod(sector * SECTOR, self.block)
            for inode, offset, flags in self.blocks.get(block, []):
                size, at = self.inodes[inode].size, offset + within
                inside = max(0, min(SECTOR, size - at))
                shared = bool(flags & SHARED)
                for first, last, state in ((0, inside, "unwritten" if flags & UNWRITTEN else "lost"),
                                           (inside, SECTOR, "past_eof")):
                    if first < last:
                        row = (at + first, last - first, sector * SECTOR + first, state, shared)
                        found.setdefault(inode, []).append(row)
        return {inode: join(rows) for inode, rows in found.items()}

    def inodes_in(self, start, end):
        """Inodes in use that have bytes of a part of one sector of ext4's inode table."""
        block, within = divmod(start, self.block)
        first = self.tables[block] + within // self.inode_size
        last = self.tables[block] + (within + end - start - 1) // self.inode_size
        return {i for i in range(first, last + 1) if i in self.inodes}

    def owner(self, sector):
        """(owner, part, inodes) of a sector; of a file's: the inodes"""
        block, within = divmod(sector * SECTOR, self.block)
        rows = self.blocks.get(block)
        if rows:
            inodes = {x[0] for x in rows}
            lost = any(not f & UNWRITTEN and o + within < self.inodes[i].size for i, o, f in rows)
            return "file" if lost else "unwritten", None, inodes
        if block in self.tables:
            used = self.inodes_in(sector * SECTOR, (sector + 1) * SECTOR)
            return "metadata", "inode" if used else None, used
        return self.metadata.get(block, ("metadata", None, None) if self.kind == "ext4" else ("unknown", None, None))


def join(rows):
    """Pieces that go on in the file and on the device are one."""
    out = []
    for row in sorted(rows):
        if out:
            offset, length, device, *rest = out[-1]
            if offset + length == row[0] and device + length == row[2] and rest == list(row[3:]):
                out[-1] = (offset, length + row[1], device, *rest)
                continue
        out.append(tuple(row))
    return out
