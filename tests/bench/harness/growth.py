"""./dev bench growth: how the cost of one operation grows with threads, files, sizes, fullness and age."""

import argparse
import csv
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from .commands import BenchError, run, sync_filesystem
from .counters import memory_mib
from .filesystems import ALL, Filesystem, Mounted
from .measure import Place, note, place
from .report import number
from .session import Session, Sizes

MIB = 1 << 20


@dataclass(frozen=True)
class Scale:
    """How far each experiment goes."""

    volume_mib: int
    threads: tuple[int, ...]
    thread_files: int
    files: tuple[int, ...]
    file_mib: tuple[int, ...]
    fill_percent: tuple[int, ...]
    aging_seconds: int
    aging_intervals: int


FULL = Scale(24 * 1024, (1, 2, 4, 8), 40000, (10**4, 10**5, 10**6), (1024, 16 * 1024), (5, 95), 3600, 10)
QUICK = Scale(3 * 1024, (1, 2, 4, 8), 8000, (10**4, 10**5), (256, 1024), (5, 95), 40, 4)
TINY = Scale(512, (1, 2), 400, (100, 1000), (16, 64), (5, 95), 4, 2)
AGING_PERCENT = 60  # of the volume, what the aging load keeps
SAMPLED_FILES = 2000
DEFAULT_FILESYSTEMS = ("ashlarfs-uring", "ext4")


@dataclass(frozen=True)
class Point:
    """One figure: of an experiment, at a size of it, on a filesystem."""

    experiment: str
    at: str
    filesystem: str
    measure: str
    value: float
    daemon_mib: float


# Yields (at, measure, value) from a fresh filesystem.
Experiment = Callable[[Session, Scale], Iterator[tuple[str, str, float]]]


def _rate(session: Session, phase: str, name: str, files: int, directories: int, threads: int) -> float:
    work = session.small_files(phase, name, files, directories, threads)
    return work.operations / work.seconds


def grow_threads(session: Session, scale: Scale) -> Iterator[tuple[str, str, float]]:
    directories = max(scale.threads)
    session.write_file()
    for threads in scale.threads:
        at = f"{threads} threads"
        for phase in ("create", "stat", "read", "rename", "unlink"):
            if phase in ("stat", "read"):
                sync_filesystem(session.mounted.root)
                session.mounted.cold()
            rate = _rate(session, phase, f"t{threads}", scale.thread_files, directories, threads)
            yield at, f"{phase}, /s", rate
        durable = _rate(session, "create-fsync", f"d{threads}", scale.thread_files // 10, directories, threads)
        yield at, "create + fsync, /s", durable
        work = session.fio("random_read_threads", session.target, THREADS=threads)
        yield at, "random read, /s", work.operations / work.seconds


def grow_files(session: Session, scale: Scale) -> Iterator[tuple[str, str, float]]:
    for files in scale.files:
        at, name = f"{files} files", f"n{files}"
        yield at, "create, /s", _rate(session, "create", name, files, 2, 2)
        sync_filesystem(session.mounted.root)
        for phase in ("stat", "readdir", "read"):
            session.mounted.cold()
            yield at, f"{phase}, cold, /s", _rate(session, phase, name, files, 2, 1)
        for phase in ("rename", "unlink"):
            yield at, f"{phase}, /s", _rate(session, phase, name, files, 2, 1)


def grow_sizes(session: Session, scale: Scale) -> Iterator[tuple[str, str, float]]:
    target = session.target
    for mib in scale.file_mib:
        at = f"{mib} MiB"
        for job, measure in (("sequential_write", "write + fsync, MB/s"), ("sequential_read", "cold read, MB/s")):
            session.mounted.cold()
            work = session.fio(job, target, mib)
            yield at, measure, work.operations * MIB / 1e6 / work.seconds
        for job, measure in (("random_read_16", "random read, /s"), ("random_write_16", "random overwrite, /s")):
            session.mounted.cold()  # or fio's time begins with dropping the file from the page cache
            work = session.fio(job, target, mib)
            yield at, measure, work.operations / work.seconds
        target.unlink()


def _fill_to(root: Path, percent: int) -> None:
    usage = shutil.disk_usage(root)
    wanted = usage.total * percent // 100 - (usage.total - usage.free)
    block = bytes(MIB)
    with (root / f"filler{percent}").open("wb") as file:
        for _ in range(max(wanted, 0) // MIB):
            file.write(block)
    sync_filesystem(root)


def grow_fullness(session: Session, scale: Scale) -> Iterator[tuple[str, str, float]]:
    for percent in scale.fill_percent:
        at = f"{percent} % full"
        _fill_to(session.mounted.root, percent)
        # What is added must fit into what is left, with room to spare for copy-on-write.
        mib = max(shutil.disk_usage(session.mounted.root).free // MIB // 8, 4)
        target = session.mounted.root / f"file{percent}"
        work = session.fio("sequential_write", target, min(mib, 256))
        yield at, "write + fsync, MB/s", work.operations * MIB / 1e6 / work.seconds
        work = session.fio("random_write_16", target, min(mib, 256))
        yield at, "random overwrite, /s", work.operations / work.seconds
        files = min(scale.thread_files, mib * 32)
        yield at, "create, /s", _rate(session, "create", f"p{percent}", files, 2, 2)
        sync_filesystem(session.mounted.root)
        _rate(session, "rename", f"p{percent}", files, 2, 1)
        yield at, "unlink, /s", _rate(session, "unlink", f"p{percent}", files, 2, 1)
        target.unlink()


def _extents_of_ours(session: Session, path: Path) -> int:
    """From the device, as of the last checkpoint; what lies together counts once, however many items describe it."""
    device, inode = session.mounted.device, str(path.stat().st_ino)
    text = run([session.programs / "ashlarctl", "dump", device, "inode", inode])
    count, after = 0, None
    for first, last, at in re.findall(r"file blocks (\d+) to (\d+) at (\d+)", text):
        count += after != (int(first), int(at))
        after = (int(last) + 1, int(at) + int(last) + 1 - int(first))
    return count


def extents_per_file(session: Session, paths: list[Path]) -> float | None:
    """Of a filesystem that was mounted anew; None where it does not tell. The kernel keeps FIEMAP from FUSE."""
    if session.mounted.filesystem.kind == "ashlarfs":
        counts = [_extents_of_ours(session, path) for path in paths]
    else:
        try:
            lines = run(["filefrag", *paths]).splitlines()
        except BenchError:
            return None
        counts = [int(line.rsplit(":", 1)[1].split()[0]) for line in lines if "extent" in line]
    return sum(counts) / len(counts) if counts else None


def _read_rate(session: Session, paths: list[Path]) -> float:
    """Reading all of the aged files after emptying the caches, MB/s: what fragments cost."""
    sync_filesystem(session.mounted.root)
    session.mounted.cold()
    began = time.monotonic()
    size = sum(len(path.read_bytes()) for path in paths)
    return size / 1e6 / (time.monotonic() - began)


# What puts files together again, where a filesystem has it: the words before the directory.
DEFRAGMENTERS: dict[str, tuple[str, ...]] = {
    "ashlarfs": ("ashlarctl", "defrag", "-r"),
    "ext4": ("e4defrag",),
    "btrfs": ("btrfs", "filesystem", "defragment", "-r"),
}


def _defragment(session: Session, top: Path) -> float | None:
    """The seconds that it took; None where there is nothing that does it."""
    filesystem = session.mounted.filesystem
    words = DEFRAGMENTERS.get(filesystem.kind) or DEFRAGMENTERS.get(filesystem.name)
    if words is None:
        return None
    ours = session.programs / words[0]
    began = time.monotonic()
    run([ours if ours.exists() else words[0], *words[1:], top])
    sync_filesystem(top)
    return time.monotonic() - began


def age(session: Session, scale: Scale) -> Iterator[tuple[str, str, float]]:
    root = session.mounted.root
    limit = shutil.disk_usage(root).free * AGING_PERCENT // 100 // MIB
    top = root / "aged"
    top.mkdir()
    words = (str(limit), str(scale.aging_seconds), str(scale.aging_intervals))
    for line in run([session.programs / "aging", top, *words]).splitlines():
        interval, operations, megabytes = line.split("\t")
        at = f"interval {int(interval) + 1} of {scale.aging_intervals}"
        yield at, "operations, /s", float(operations)
        yield at, "written, MB/s", float(megabytes)
    paths = sorted(top.glob("*/*"))[:SAMPLED_FILES]
    yield "at the end", "reading aged files, MB/s", _read_rate(session, paths)
    extents = extents_per_file(session, paths)
    if extents is not None:
        yield "at the end", "extents per file", extents
    seconds = _defragment(session, top)
    if seconds is None:
        return
    yield "after defragmenting", "defragmenting, s", seconds
    yield "after defragmenting", "reading aged files, MB/s", _read_rate(session, paths)
    if extents is not None:
        yield "after defragmenting", "extents per file", extents_per_file(session, paths) or 0


EXPERIMENTS: dict[str, Experiment] = {
    "threads": grow_threads,
    "files": grow_files,
    "sizes": grow_sizes,
    "fullness": grow_fullness,
    "aging": age,
}


def _points(name: str, mounted: Mounted, session: Session, scale: Scale) -> Iterator[Point]:
    for at, measure, value in EXPERIMENTS[name](session, scale):
        # Now, not at its highest: a remount before a cold measurement begins a new process anyway.
        memory = memory_mib(mounted.daemon)[0] if mounted.daemon else 0
        yield Point(name, at, mounted.filesystem.name, measure, value, memory)


def _measure(where: Place, filesystem: Filesystem, name: str, scale: Scale, sizes: Sizes) -> list[Point]:
    note(f"{name}: {filesystem.name}")
    points: list[Point] = []
    try:
        with where.mounted(filesystem) as mounted:
            for point in _points(name, mounted, Session(mounted, sizes, where.programs), scale):
                points.append(point)
    except (BenchError, OSError) as error:
        note(f"{filesystem.name}, {name}: FAILED: {error}")
    return points


def _print(points: list[Point], filesystems: list[Filesystem]) -> str:
    cells = {(p.experiment, p.measure, p.at, p.filesystem): p for p in points}
    lines = ["| growth with | measure | at | " + " | ".join(f.name + " (MiB)" for f in filesystems) + " |"]
    lines.append("|---|---|---|" + "---:|" * len(filesystems))
    for key in dict.fromkeys((p.experiment, p.measure, p.at) for p in sorted(points, key=lambda p: p.measure)):
        found = [cells.get((*key, f.name)) for f in filesystems]
        texts = [f"{number(p.value)}" + (f" ({p.daemon_mib:.0f})" if p.daemon_mib else "") if p else "-" for p in found]
        lines.append(f"| {' | '.join((key[0], key[1], key[2], *texts))} |")
    return "\n".join([lines[0], lines[1], *sorted(lines[2:], key=lambda line: line.split(" | ")[:2])])


def run_experiments(
    where: Place, filesystems: list[Filesystem], names: list[str], scale: Scale, sizes: Sizes
) -> list[Point]:
    points: list[Point] = []
    for name in names:
        for filesystem in filesystems:
            points += _measure(where, filesystem, name, scale, sizes)
    return points


def run_growth(options: argparse.Namespace, folder: Path, sizes: Sizes) -> int:
    """The experiments that --rows names (all), on the filesystems of --fs (ashlarfs-uring and ext4)."""
    scale = TINY if options.tiny else QUICK if options.quick else FULL
    if options.aging_seconds:
        scale = replace(scale, aging_seconds=options.aging_seconds)
    wanted = options.fs.split(",") if options.fs else list(DEFAULT_FILESYSTEMS)
    filesystems = [f for f in ALL if f.name in wanted and f.keeps_contents]
    names = [name for name in EXPERIMENTS if not options.rows or name in options.rows.split(",")]
    if not filesystems or not names:
        raise BenchError(f"nothing to do; there are {', '.join(EXPERIMENTS)}")
    with place(folder, options.programs, scale.volume_mib) as where:
        points = run_experiments(where, filesystems, names, scale, sizes)
    with (options.output / "growth.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Point.__dataclass_fields__)
        writer.writerows([*vars(point).values()] for point in points)
    text = _print(points, filesystems) + "\n"
    (options.output / "growth.md").write_text(text)
    print(text)
    note(f"written to {options.output}: growth.csv, growth.md; in parentheses: the daemon's resident memory")
    return 0
