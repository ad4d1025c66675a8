"""Medians, ratios, and whether the targets are met: as text, CSV and JSON."""

import csv
import json
import os
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from .filesystems import ALL
from .measure import Sample
from .rows import ROWS, Row

KINDS = {filesystem.name: filesystem.kind for filesystem in ALL}
MICRO = 1e6
JUDGED_TOO = "ashlarfs-uring-low"


@dataclass(frozen=True)
class Cell:
    """The median of a row on a filesystem, and what an operation cost there (the medians too)."""

    value: float
    lowest: float
    highest: float
    samples: int
    writes: float
    written_kib: float
    flushes: float
    busy_us: float
    daemon_us: float
    daemon_peak_mib: float


@dataclass(frozen=True)
class Verdict:
    """A row of ours against its targets; None where there is nothing to compare with."""

    to_ext4: float | None
    to_peer: float | None
    met: bool | None

    @property
    def word(self) -> str:
        return {True: "met", False: "MISSED", None: "-"}[self.met]


def _cell(samples: list[Sample]) -> Cell:
    values = [sample.value for sample in samples]

    def cost(name: str) -> float:
        return statistics.median(getattr(sample.costs, name) / max(sample.operations, 1) for sample in samples)

    return Cell(
        statistics.median(values),
        min(values),
        max(values),
        len(values),
        cost("writes"),
        cost("written_bytes") / 1024,
        cost("flushes"),
        cost("busy_seconds") * MICRO,
        cost("daemon_seconds") * MICRO,
        max(sample.daemon_peak_mib for sample in samples),
    )


class Table:
    """What was measured, by row and filesystem."""

    def __init__(self, samples: list[Sample]) -> None:
        groups: dict[tuple[str, str], list[Sample]] = {}
        for sample in samples:
            groups.setdefault((sample.row, sample.filesystem), []).append(sample)
        self.cells = {key: _cell(group) for key, group in groups.items()}
        self.filesystems = [f.name for f in ALL if any(name == f.name for _, name in self.cells)]
        self.rows = [row for row in ROWS if any(name == row.name for name, _ in self.cells)]
        ours = self.of_kind("ashlarfs")
        # The first of ours is the one compared most: what a mount without options picks, unless others were chosen.
        self.judged = ours[0] if ours else None
        self.all_judged = ours[:1] + [name for name in ours[1:] if name == JUDGED_TOO]

    def of_kind(self, kind: str) -> list[str]:
        return [name for name in self.filesystems if KINDS[name] == kind]

    def ratio(self, row: Row, ours: str, others: Iterable[str]) -> float | None:
        """How many times as fast as the best of the others."""
        mine = self.cells.get((row.name, ours))
        theirs = [self.cells[row.name, name].value for name in others if (row.name, name) in self.cells]
        if mine is None or not theirs or not mine.value:
            return None
        return min(theirs) / mine.value if row.unit == "ms" else mine.value / max(max(theirs), 1e-9)

    def verdict(self, row: Row, ours: str) -> Verdict:
        to_ext4 = self.ratio(row, ours, [name for name in self.filesystems if name == "ext4"])
        to_peer = self.ratio(row, ours, self.of_kind("peer"))
        checks = [
            ratio >= target
            for ratio, target in ((to_ext4, row.to_ext4), (to_peer, row.to_peer))
            if ratio is not None and target is not None
        ]
        if row.at_most_ms is not None and (row.name, ours) in self.cells:
            checks.append(self.cells[row.name, ours].value <= row.at_most_ms)
        return Verdict(to_ext4, to_peer, all(checks) if checks else None)


def number(value: float | None) -> str:
    """Three digits that matter."""
    if value is None:
        return "-"
    if abs(value) >= 10000:
        return f"{value / 1000:.0f}k"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _with_target(ratio: float | None, target: float | None) -> str:
    return number(ratio) + (f" (>= {target:g})" if target is not None and ratio is not None else "")


def _aligned(lines: list[list[str]]) -> str:
    """A table of Markdown whose columns stand below each other in a terminal too."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    padded = [
        "| " + " | ".join(text.ljust(w) if i == 0 else text.rjust(w) for i, (text, w) in enumerate(zip(line, widths))) + " |"
        for line in lines
    ]
    rule = "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join([padded[0], rule, *padded[1:]])


def speed_table(table: Table) -> str:
    lines = [["workload", "unit", *table.filesystems]]
    for row in table.rows:
        cells = [table.cells.get((row.name, name)) for name in table.filesystems]
        lines.append([row.title, row.unit, *(number(cell.value if cell else None) for cell in cells)])
    return _aligned(lines)


def target_table(table: Table, ours: str) -> str:
    lines = [[f"workload, {ours}", "to ext4", "to best FUSE peer", "to null FUSE", "to raw device", "target"]]
    for row in table.rows:
        verdict = table.verdict(row, ours)
        limits = [number(table.ratio(row, ours, table.of_kind(kind))) for kind in ("null", "raw")]
        ratios = [_with_target(verdict.to_ext4, row.to_ext4), _with_target(verdict.to_peer, row.to_peer)]
        lines.append([row.title, *ratios, *limits, verdict.word])
    return _aligned(lines)


def cost_table(table: Table) -> str:
    """Of one operation: ours judged, ext4 and the best-known peer beside each other."""
    names = [name for name in (table.judged, "ext4", "ntfs-3g") if name in table.filesystems]
    heads = [f"{head}, {name}" for head in ("device writes", "KiB written", "flushes", "CPU us", "daemon us") for name in names]
    lines = [["for each operation", *heads]]
    for row in table.rows:
        cells = [table.cells.get((row.name, name)) for name in names]
        columns = ("writes", "written_kib", "flushes", "busy_us", "daemon_us")
        lines.append([row.name, *(number(getattr(cell, c) if cell else None) for c in columns for cell in cells)])
    # A kernel filesystem has no daemon.
    keep = [i for i in range(len(lines[0])) if lines[0][i] != "daemon us, ext4"]
    return _aligned([[line[i] for i in keep] for line in lines])


def summary(table: Table) -> str:
    lines = []
    for ours in table.of_kind("ashlarfs"):
        judged = [table.verdict(row, ours).met for row in table.rows]
        peak = max(cell.daemon_peak_mib for (_, name), cell in table.cells.items() if name == ours)
        lines.append(
            f"{ours}: {judged.count(True)} of {len(judged) - judged.count(None)} targets met; "
            f"the daemon took at most {peak:.0f} MiB"
        )
    return "\n".join(lines)


def machine() -> dict[str, str]:
    memory = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    return {
        "processors": str(len(os.sched_getaffinity(0))),
        "memory_gib": f"{int(memory.split()[1]) / (1 << 20):.0f}",
        "kernel": os.uname().release.split("-")[0],
    }


def write_json(path: Path, samples: list[Sample]) -> None:
    path.write_text(json.dumps({"machine": machine(), "samples": [asdict(s) for s in samples]}, indent=1) + "\n")


def write_csv(path: Path, table: Table) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "unit", "filesystem", *(name for name in Cell.__dataclass_fields__)])
        units = {row.name: row.unit for row in table.rows}
        for (row, name), cell in table.cells.items():
            writer.writerow([row, units[row], name, *(f"{value:.6g}" for value in asdict(cell).values())])
