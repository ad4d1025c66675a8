"""What an operation costs besides time: transfers and flushes of the device, processor seconds, memory."""

import os
from dataclasses import dataclass
from pathlib import Path

SECTOR = 512
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")

# Fields of /sys/block/DEVICE/stat.
READS, SECTORS_READ, WRITES, SECTORS_WRITTEN, FLUSHES = 0, 2, 4, 6, 15
# Fields of the first line of /proc/stat that are work: user, nice, system, irq, softirq.
BUSY_FIELDS = (0, 1, 2, 5, 6)
# Of /proc/PID/stat after the parenthesis: user and system time.
PROCESS_TIMES = (11, 12)


@dataclass(frozen=True)
class Counters:
    """Totals since the start of the machine or process; or the difference of two such."""

    reads: float = 0
    read_bytes: float = 0
    writes: float = 0
    written_bytes: float = 0
    flushes: float = 0
    busy_seconds: float = 0  # all of the machine
    daemon_seconds: float = 0

    def since(self, before: "Counters") -> "Counters":
        return Counters(**{name: value - getattr(before, name) for name, value in vars(self).items()})


def process_seconds(pid: int) -> float:
    """Processor time of all threads of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(fields[i]) for i in PROCESS_TIMES) / TICKS_A_SECOND


def read_counters(device: str, daemon: int | None) -> Counters:
    """Of the block device (a path in /dev) and, for a FUSE filesystem, its daemon."""
    stat = [int(field) for field in Path(f"/sys/block/{Path(device).name}/stat").read_text().split()]
    cpu = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return Counters(
        reads=stat[READS],
        read_bytes=stat[SECTORS_READ] * SECTOR,
        writes=stat[WRITES],
        written_bytes=stat[SECTORS_WRITTEN] * SECTOR,
        flushes=stat[FLUSHES],
        busy_seconds=sum(cpu[i] for i in BUSY_FIELDS) / TICKS_A_SECOND,
        daemon_seconds=process_seconds(daemon) if daemon else 0,
    )


def memory_mib(pid: int) -> tuple[float, float]:
    """Resident memory of a process now and at its highest, MiB."""
    kib = {"VmRSS": 0, "VmHWM": 0}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in kib:
            kib[name] = int(value.split()[0])
    return kib["VmRSS"] / 1024, kib["VmHWM"] / 1024
