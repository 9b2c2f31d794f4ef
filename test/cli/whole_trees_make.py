# SPDX-License-Identifier: GPL-2.0-or-later
"""A random tree, changed at random from seed to seed, with all that makes it hard to say whose a block is."""
import ctypes
import errno
import fcntl
import os
import stat

FICLONE = 0x40049409
FICLONERANGE = 0x4020940D
KEEP_SIZE, PUNCH_HOLE, COLLAPSE, INSERT = 1, 2, 8, 0x20

libc = ctypes.CDLL(None, use_errno=True)


def fallocate(fd, mode, offset, length):
    if libc.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)):
        raise OSError(ctypes.get_errno(), "fallocate")


class Tree:
    """@large: how many blocks the largest files have: fewer on a slow machine."""

    def __init__(self, root, rng, block, large):
        self.root = os.fsencode(root)
        self.rng = rng
        self.block = block
        self.large = large
        self.held = []  # open files without a name
        self.opened = []
        self.count = 0
        self.pool = rng.randbytes(1 << 16)

    # ---- names

    def everything(self):
        dirs, files = [self.root], []
        for top, below, names in os.walk(self.root):
            dirs += [os.path.join(top, d) for d in below if not os.path.islink(os.path.join(top, d))]
            files += [os.path.join(top, n) for n in names]
        return sorted(dirs), sorted(files)

    def name(self):
        rng = self.rng
        self.count += 1
        word = b"%d" % self.count
        return rng.choice([
            lambda: b"f" + word,
            lambda: b"with space " + word,
            lambda: word + b"-" + b"n" * rng.randint(30, 200),
            lambda: b"\xff\xfe bytes \x80" + word,
            lambda: b"line\nbreak" + word,
            lambda: "größe-".encode() + word,
            lambda: b'"quoted\\' + word,
            lambda: b"latin\xe9" + word,
        ])()

    def place(self):
        return os.path.join(self.rng.choice(self.dirs), self.name())

    def data(self, length):
        at = self.rng.randrange(4096)
        piece = self.pool[at : at + min(length, len(self.pool) - at)]
        return (piece * (length // len(piece) + 1))[:length] if length else b""

    def create(self):
        path = self.place()
        self.files.append(path)
        return self.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)

    def open(self, path, flags):
        """Closed when the step is done, whatever became of it."""
        fd = os.open(path, flags, 0o644)
        self.opened.append(fd)
        return fd

    # ---- files of one kind each

    def plain(self):
        fd = self.create()
        os.pwrite(fd, self.data(self.rng.choice([0, 1, 511, 700, 4096, 5000, self.rng.randint(1, 60000)])), 0)

    def sparse(self):
        fd = self.create()
        for _ in range(self.rng.randint(1, 6)):
            os.pwrite(fd, self.data(self.rng.randint(1, 9000)), self.rng.randrange(1 << self.rng.randint(14, 30)))

    def far(self):
        """Behind each level of indirect blocks, of 1 kB and of 4 kB."""
        fd = self.create()
        for at in self.rng.sample([0, 12 << 10, 268 << 10, 65804 << 10, 12 << 12, 1036 << 12, 1049612 << 12], 4):
            os.pwrite(fd, self.data(self.rng.randint(1, 3 * self.block)), at + self.rng.randrange(3) * self.block)

    def unwritten(self):
        fd = self.create()
        size = self.rng.randint(2, 40) * self.block
        fallocate(fd, 0, 0, size + self.rng.randint(0, 900))
        for _ in range(self.rng.randint(0, 4)):
            os.pwrite(fd, self.data(self.rng.randint(1, 5000)), self.rng.randrange(size))

    def past_end(self):
        fd = self.create()
        size = self.rng.randint(1, 20000)
        os.pwrite(fd, self.data(size), 0)
        fallocate(fd, KEEP_SIZE, size, self.rng.randint(1, 20) * self.block)

    def shuffled(self):
        """The order on the device is not the one in the file."""
        fd = self.create()
        order = list(range(self.rng.randint(4, 14)))
        self.rng.shuffle(order)
        for block in order:
            os.pwrite(fd, self.data(self.block), block * self.block)
            os.fdatasync(fd)

    def inserted(self):
        fd = self.create()
        os.pwrite(fd, self.data(20 * self.block + 77), 0)
        for _ in range(4):
            fallocate(fd, INSERT, self.rng.randrange(1, 12) * self.block, self.block)
            os.pwrite(fd, self.data(self.block), self.rng.randrange(15) * self.block)
        fallocate(fd, COLLAPSE, self.rng.randrange(8) * self.block, 2 * self.block)

    def alternate(self):
        """As many extents as blocks: a tree of them."""
        fd = self.create()
        data = self.data(self.block)
        for block in range(0, 2 * self.rng.choice([20, 20, 60, 100, 100, 400, self.large]), 2):
            os.pwrite(fd, data, block * self.block)

    def punched(self):
        fd = self.create()
        blocks = self.rng.choice([12, 50, 200])
        os.pwrite(fd, self.data(blocks * self.block), 0)
        os.fdatasync(fd)
        for block in range(self.rng.randrange(2), blocks, 2):
            fallocate(fd, KEEP_SIZE | PUNCH_HOLE, block * self.block, self.block)

    def interleaved(self):
        """Written block by block, by turns."""
        fds = [self.create() for _ in range(self.rng.randint(2, 4))]
        for block in range(self.rng.randint(5, 12)):
            for fd in fds:
                os.pwrite(fd, self.data(self.block), block * self.block)
                os.fdatasync(fd)

    def reflinked(self):
        source = self.some(stat.S_ISREG)
        fd = self.create()
        with open(source, "rb") as f:
            size = os.fstat(f.fileno()).st_size
            if self.rng.random() < 0.6 or size < 4 * self.block:
                fcntl.ioctl(fd, FICLONE, f.fileno())
            else:
                at = size // self.block // 2 * self.block
                for to in (0, 8 * self.block):  # twice in one file
                    argument = b"".join(n.to_bytes(8, "little") for n in (f.fileno(), at, self.block, to))
                    fcntl.ioctl(fd, FICLONERANGE, argument)
        if self.rng.random() < 0.4:
            os.pwrite(fd, self.data(self.block), self.rng.randrange(4) * self.block)

    # ---- what is no file, or a file again

    def some(self, is_kind):
        for _ in range(40):
            path = self.rng.choice(self.files)
            if is_kind(os.lstat(path).st_mode):
                return path
        raise OSError(errno.ENOENT, "no such thing yet")

    def hard_link(self):
        source = self.rng.choice(self.files)
        for _ in range(self.rng.choice([1, 1, 2, 5])):
            path = self.place()
            os.link(source, path, follow_symlinks=False)
            self.files.append(path)

    def symlink(self):
        path = self.place()
        length = self.rng.choice([10, 59, 60, 61, 200, 450, 800, 1000])
        os.symlink((b"/to" * 400)[:length], path)
        self.files.append(path)
        if self.rng.random() < 0.4:
            os.setxattr(path, "trusted.long", self.data(self.rng.choice([30, 600])), follow_symlinks=False)

    def special(self):
        path = self.place()
        os.mkfifo(path)
        self.files.append(path)

    def directory(self):
        path = self.place()
        os.mkdir(path)
        self.dirs.append(path)

    def big_directory(self):
        """With blocks of its own; its names are few inodes'."""
        top = self.place()
        os.mkdir(top)
        for group in range(4):
            first = os.path.join(top, b"first%d" % group)
            os.close(os.open(first, os.O_WRONLY | os.O_CREAT, 0o644))
            for n in range(self.rng.choice([4, 15, 30])):
                os.link(first, os.path.join(top, b"%d-%d-" % (group, n) + b"x" * 40))
        self.dirs.append(top)

    def attributes(self):
        path = self.rng.choice(self.files + self.dirs)
        if not os.path.islink(path) and not stat.S_ISFIFO(os.lstat(path).st_mode):
            # the same value for many: ext4 keeps one block for all of them
            value = self.rng.choice([b"same" * 120, self.data(self.rng.choice([20, 300, 800])), self.data(3000)])
            os.setxattr(path, b"user.%d" % self.rng.randrange(3), value)

    def rewrite(self):
        fd = self.open(self.some(stat.S_ISREG), os.O_RDWR)
        size = os.fstat(fd).st_size
        os.pwrite(fd, self.data(self.rng.randint(1, 9000)), self.rng.randrange(min(size, 1 << 20) + 1))

    def cut(self):
        path = self.some(stat.S_ISREG)
        os.truncate(path, self.rng.randint(0, min(os.lstat(path).st_size, 100000) + 1000))

    def remove(self):
        path = self.files.pop(self.rng.randrange(len(self.files)))
        os.unlink(path)

    def rename(self):
        at = self.rng.randrange(len(self.files))
        path = self.place()
        os.rename(self.files[at], path)
        self.files[at] = path

    def hold(self):
        """Deleted, and still open."""
        if len(self.held) < 5:
            path = self.some(stat.S_ISREG)
            if os.lstat(path).st_nlink == 1:
                self.held.append(os.open(path, os.O_RDWR))
                os.unlink(path)
                self.files.remove(path)
        else:
            os.close(self.held.pop(0))

    # ---- all of it

    FRESH = ["plain", "sparse", "far", "unwritten", "past_end", "shuffled", "inserted", "alternate", "punched",
             "interleaved", "reflinked", "symlink", "big_directory", "special"]
    AGAIN = ["hard_link", "hard_link", "directory", "attributes", "attributes", "attributes", "rewrite", "cut",
             "remove", "remove", "remove", "rename", "hold"]

    def do(self, what):
        try:
            getattr(self, what)()
        except OSError as e:
            # not each filesystem does everything, and some become full
            if e.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSPC, errno.ENOENT, errno.EFBIG, errno.EMLINK):
                raise
        finally:
            for fd in self.opened:
                os.close(fd)
            self.opened = []

    def change(self, steps):
        self.dirs, self.files = self.everything()
        for _ in range(steps):
            v = os.statvfs(self.root)
            if v.f_bavail * 4 < v.f_blocks and len(self.files) > 20:
                self.do("remove")
            else:
                self.do(self.rng.choice(self.FRESH if self.rng.random() < 0.5 else self.AGAIN))
        self.dirs, self.files = self.everything()

    def begin(self, steps):
        self.dirs, self.files = self.everything()
        for what in self.FRESH:
            for _ in range(3):
                self.do(what)
        for what in self.AGAIN:
            self.do(what)
        self.change(steps)

    def close(self):
        for fd in self.held:
            os.close(fd)
