"""The rows of the table: what is done, in which unit it is told, and the targets for it."""

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .commands import BenchError, run, sync_filesystem, timed
from .device import LoopDevice
from .filesystems import Mounted
from .session import Session, Work

MB = 1e6
HUGE_VOLUME = (16 << 40) - 4096  # ext4, below the image, has no larger files
DBENCH_CLIENTS = 2


@dataclass(frozen=True)
class Row:
    """One measurement. `prepare` is not timed; `cold`: caches are emptied, the daemon's too, after it."""

    name: str
    title: str
    unit: str  # MB/s, /s or ms; ms is the one where less is better
    work: Callable[[Session], Work]
    prepare: Callable[[Session], object] = lambda session: None
    cold: bool = False
    settle: bool = False  # the counters, not the time, go on until what was written is durable
    runs_on: str = "contents"  # contents: what keeps them; null: that and the null filesystem; raw: those and the device
    bytes_an_operation: int = 1
    to_ext4: float | None = None  # the least ratio to aim at
    to_peer: float | None = None
    at_most_ms: float | None = None

    def applies_to(self, mounted: Mounted) -> bool:
        kind = mounted.filesystem.kind
        if kind == "raw":
            return self.runs_on == "raw"
        if kind == "null":
            return self.runs_on in ("raw", "null")
        return True

    def value(self, work: Work) -> float:
        if self.unit == "ms":
            return work.seconds * 1000
        rate = work.operations / max(work.seconds, 1e-6)
        return rate * self.bytes_an_operation / MB if self.unit == "MB/s" else rate


def _on_file(job: str) -> Callable[[Session], Work]:
    return lambda session: session.fio(job, session.target)


def _append(session: Session) -> Work:
    # On the device itself: at its start. A file grows from nothing.
    raw = session.mounted.filesystem.kind == "raw"
    target = session.target if raw else session.mounted.root / "appended"
    work = session.fio("append_fdatasync", target)
    if not raw:
        target.unlink()
    return work


def _need_cached_file(session: Session) -> None:
    session.need_file()
    session.fio("sequential_read", session.target)


def _phase(phase: str, threads: int = 1) -> Callable[[Session], Work]:
    return lambda session: session.many(phase, threads)


def _names(names: str) -> Callable[[Session], object]:
    return lambda session: session.need_names(names)


def _stat_twice(session: Session) -> None:
    session.need_names("made")
    session.many("stat")


def _create_durable(session: Session) -> Work:
    return session.small_files("create-fsync", "durable", session.sizes.durable_files, 4, 4)


def _insert(session: Session) -> Work:
    root, count = session.mounted.root, session.sizes.inserts
    script = root / "script.sql"
    script.write_text(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, text TEXT);\n"
        + "".join(f"INSERT INTO t(text) VALUES('the {i}th of them, each a transaction');\n" for i in range(count))
    )
    sync_filesystem(root)
    began = time.monotonic()
    run(["sqlite3", "-batch", root / "inserts.db", f".read {script}"])
    work = Work(count, time.monotonic() - began)
    (root / "inserts.db").unlink()
    return work


def _tool(*words: str) -> Callable[[Session], Work]:
    """A command in the folder that holds the tree; the word TREE stands for it."""

    def work(session: Session) -> Work:
        tree = str(session.mounted.root / "tree")
        return Work(1, timed([tree if word == "TREE" else word for word in words]))

    return work


def _dbench(session: Session) -> Work:
    folder = session.mounted.root / "dbench"
    folder.mkdir(exist_ok=True)
    seconds = session.sizes.dbench_seconds
    output = run(["dbench", "-D", folder, "-t", str(seconds), str(DBENCH_CLIENTS)])
    found = re.search(r"^Throughput ([0-9.]+) MB/sec", output, re.MULTILINE)
    if not found:
        raise BenchError(f"dbench printed no throughput: {output[-200:]}")
    return Work(float(found[1]) * MB * seconds, seconds)


def _make_huge(session: Session) -> Work:
    """mkfs and mount of a volume of 16 TiB, on a sparse image and loop device of its own."""
    image = Path(os.environ["ASHLAR_BENCH_DIR"]) / "huge"
    device = LoopDevice(image, HUGE_VOLUME, filled=False)
    try:
        mount_point = image.with_name("huge-mnt")
        mount_point.mkdir(exist_ok=True)
        began = time.monotonic()
        mounted = Mounted(session.mounted.filesystem, device.path, mount_point, session.programs)
        taken = time.monotonic() - began
        mounted.close()
    finally:
        device.close()
    return Work(1, taken)


FIND = ("find", "TREE", "-newermt", "2000-01-01", "-size", "-1")
TAR = ("sh", "-c", 'tar -cf - "$1" 2>/dev/null | cat >/dev/null', "sh", "TREE")

ROWS = (
    Row("seqwrite", "1 MiB sequential write + fsync, buffered", "MB/s", Session.write_file, runs_on="raw",
        bytes_an_operation=1 << 20, to_ext4=0.95, to_peer=2),
    Row("seqread", "sequential read, buffered, cold", "MB/s", _on_file("sequential_read"), Session.need_file,
        cold=True, runs_on="raw", bytes_an_operation=1 << 20, to_ext4=0.9, to_peer=1),
    Row("reread", "cached re-read", "MB/s", _on_file("cached_reread"), _need_cached_file, runs_on="null",
        bytes_an_operation=1 << 20, to_ext4=0.95, to_peer=1),
    Row("seqread-direct", "sequential read, O_DIRECT depth 8, cold", "MB/s", _on_file("sequential_read_direct"),
        Session.need_file, cold=True, runs_on="raw", bytes_an_operation=1 << 20, to_ext4=0.9, to_peer=1),
    Row("randread1", "4 KiB random read, O_DIRECT depth 1", "/s", _on_file("random_read_1"), Session.need_file,
        runs_on="raw", to_ext4=0.7, to_peer=1),
    Row("randread16", "4 KiB random read, O_DIRECT depth 16", "/s", _on_file("random_read_16"), Session.need_file,
        runs_on="raw", to_ext4=0.8, to_peer=1),
    Row("randwrite16", "4 KiB random overwrite, O_DIRECT depth 16", "/s", _on_file("random_write_16"),
        Session.need_file, runs_on="raw", to_ext4=0.7, to_peer=4),
    Row("append", "4 KiB append + fdatasync", "/s", _append, runs_on="raw", to_ext4=2, to_peer=2),
    Row("fsync4", "4 KiB random write + fsync, 4 threads", "/s", _on_file("fsync_4_threads"), Session.need_file,
        runs_on="raw", to_ext4=2, to_peer=2),
    Row("create", "create 4 KiB files, 2 threads", "/s", _phase("create", 2), settle=True, runs_on="null",
        to_ext4=0.5, to_peer=3),
    Row("stat-cached", "stat, cached", "/s", _phase("stat"), _stat_twice, runs_on="null", to_ext4=0.95, to_peer=1),
    Row("stat", "stat, cold", "/s", _phase("stat"), _names("made"), cold=True, runs_on="null", to_ext4=0.5, to_peer=2),
    Row("readdir", "readdir, cold", "/s", _phase("readdir"), _names("made"), cold=True, runs_on="null", to_ext4=0.5,
        to_peer=2),
    Row("read", "open and read 4 KiB files, cold", "/s", _phase("read"), _names("made"), cold=True, runs_on="null",
        to_ext4=0.5, to_peer=2),
    Row("rename", "rename", "/s", _phase("rename"), _names("made"), settle=True, runs_on="null", to_ext4=0.5,
        to_peer=2),
    Row("unlink", "unlink", "/s", _phase("unlink"), _names("renamed"), settle=True, runs_on="null", to_ext4=0.5,
        to_peer=2),
    Row("create-fsync", "create + fsync, 4 threads", "/s", _create_durable, runs_on="null", to_ext4=1.5, to_peer=2),
    Row("sqlite", "SQLite durable inserts", "/s", _insert, to_ext4=2, to_peer=2),
    Row("cp", "cp -a of a tree, and sync", "ms", Session.copy_tree, Session.forget_tree, to_ext4=0.6, to_peer=2),
    Row("tar", "tar of it, cold", "ms", _tool(*TAR), Session.need_tree, cold=True, to_ext4=0.6, to_peer=2),
    Row("find", "find with attributes, cold", "ms", _tool(*FIND), Session.need_tree, cold=True, to_ext4=0.6,
        to_peer=2),
    Row("rm", "rm -rf of it", "ms", _tool("rm", "-rf", "TREE"), Session.need_tree, settle=True, to_ext4=0.6,
        to_peer=2),
    Row("dbench", f"dbench, {DBENCH_CLIENTS} clients", "MB/s", _dbench, settle=True),
    Row("mkfs-16t", "mkfs and mount of 16 TiB, sparse", "ms", _make_huge, at_most_ms=1000),
)
# Rows that only these do: the others take minutes and gigabytes, or have no such limit to be compared with.
ONLY_ON = {"mkfs-16t": ("ashlarfs", "xfs")}


def rows_for(mounted: Mounted, chosen: set[str]) -> list[Row]:
    """The chosen rows that this filesystem can do, in order."""
    filesystem = mounted.filesystem

    def wanted(row: Row) -> bool:
        only = ONLY_ON.get(row.name)
        known = only is None or filesystem.kind in only or filesystem.name in only
        return row.name in chosen and known and row.applies_to(mounted)

    return [row for row in ROWS if wanted(row)]
