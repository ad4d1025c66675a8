"""Measures rows on filesystems, in rounds: every filesystem made anew in every round."""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .commands import BenchError, drop_caches, run, sync_filesystem
from .counters import Counters, memory_mib, read_counters
from .device import LoopDevice
from .filesystems import Filesystem, Mounted
from .rows import Row, rows_for
from .session import Session, Sizes

# Tools whose loading from the machine's disk must not count in a row that begins with empty caches.
WARMED_TOOLS = ("find", "tar", "fio", "sh", "cat")


@dataclass(frozen=True)
class Sample:
    """One row on one filesystem in one round."""

    filesystem: str
    row: str
    round: int
    value: float
    operations: float
    seconds: float
    costs: Counters
    daemon_mib: float = 0
    daemon_peak_mib: float = 0


@dataclass(frozen=True)
class Place:
    """Where a bench works: everything in one folder that goes away with it."""

    folder: Path
    device: LoopDevice
    programs: Path

    @contextmanager
    def mounted(self, filesystem: Filesystem) -> Iterator[Mounted]:
        mount_point = self.folder / "mnt"
        mount_point.mkdir(exist_ok=True)
        mounted = Mounted(filesystem, self.device.path, mount_point, self.programs)
        try:
            yield mounted
        finally:
            mounted.close()


@contextmanager
def place(folder: Path, programs: Path, volume_mib: int) -> Iterator[Place]:
    with ExitStack() as stack:
        note(f"writing an image of {volume_mib} MiB")
        device = LoopDevice(folder / "image", volume_mib << 20, filled=True)
        stack.callback(device.close)
        yield Place(folder, device, programs)


def note(text: str) -> None:
    """Progress, for a person who waits."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _warm_tools(programs: Path) -> None:
    for tool in WARMED_TOOLS:
        run(["sh", "-c", f'cat "$(command -v {tool})" >/dev/null'])
    (programs / "small_files").read_bytes()
    run(["find", "--version"])
    run(["tar", "--version"])


def measure_row(row: Row, session: Session, round_number: int) -> Sample:
    mounted = session.mounted
    row.prepare(session)
    if row.cold:
        mounted.cold()
        _warm_tools(session.programs)
    elif mounted.filesystem.kind not in ("raw", "null"):
        sync_filesystem(mounted.root)
    daemon = mounted.daemon
    before = read_counters(mounted.device, daemon)
    work = row.work(session)
    if row.settle:
        sync_filesystem(mounted.root)
    costs = read_counters(mounted.device, daemon).since(before)
    memory = memory_mib(daemon) if daemon else (0.0, 0.0)
    return Sample(
        mounted.filesystem.name, row.name, round_number, row.value(work), work.operations, work.seconds, costs, *memory
    )


def measure_filesystem(where: Place, filesystem: Filesystem, chosen: set[str], sizes: Sizes, number: int) -> list[Sample]:
    samples = []
    with where.mounted(filesystem) as mounted:
        session = Session(mounted, sizes, where.programs)
        for row in rows_for(mounted, chosen):
            try:
                samples.append(measure_row(row, session, number))
            except (BenchError, OSError, ValueError, LookupError) as error:
                note(f"{filesystem.name}, {row.name}: FAILED: {error}")
    return samples


def measure_all(
    where: Place, filesystems: list[Filesystem], chosen: set[str], sizes: Sizes, rounds: int, minutes: float
) -> list[Sample]:
    """Rounds over all; from the second on only while the last one's time for a filesystem still fits into the minutes."""
    ends = time.monotonic() + minutes * 60
    samples: list[Sample] = []
    taken: dict[str, float] = {}
    for number in range(1, rounds + 1):
        for filesystem in filesystems:
            began = time.monotonic()
            if number > 1 and began + taken[filesystem.name] > ends:
                note(f"round {number} of {rounds}: no time left for {filesystem.name}")
                continue
            note(f"round {number} of {rounds}: {filesystem.name}")
            drop_caches()
            samples += measure_filesystem(where, filesystem, chosen, sizes, number)
            taken[filesystem.name] = time.monotonic() - began
    return samples
