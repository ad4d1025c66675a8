"""./dev bench: see --help."""

import argparse
import contextlib
import os
import signal
import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from . import growth, report
from .commands import BenchError
from .filesystems import ALL, Filesystem
from .measure import measure_all, note, place
from .plot import write_plot
from .rows import ROWS
from .session import Sizes

FULL = Sizes(1024, 6, 40000, 8000, 2000, Path("/usr/include"), 20)
QUICK = Sizes(256, 1, 6000, 1200, 300, Path("/usr/include/linux"), 2)
TINY = Sizes(16, 1, 200, 40, 10, Path("/usr/include/asm-generic"), 1)
FULL_MIB, QUICK_MIB, TINY_MIB = 8192, 3072, 512
ROUNDS, QUICK_ROUNDS = 5, 3
# The longest that a processor may take to wake: this and the processes that have it open say.
CPU_LATENCY = Path("/dev/cpu_dma_latency")
# With a few minutes' margin below what --quick promises.
QUICK_MINUTES = 7.5


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench", description="Measures filesystems beside each other.")
    parser.add_argument("what", nargs="?", choices=["all", "growth"], default="all",
                        help="growth: how cost grows with threads, files, sizes, fullness and age")
    parser.add_argument("--quick", action="store_true", help="small sizes and few rounds: under 10 minutes")
    parser.add_argument("--tiny", action="store_true", help="only shows that everything runs; the figures mean nothing")
    parser.add_argument("--fs", default="", help="of " + ", ".join(f.name for f in ALL) + " (ashlarfs: all of ours)")
    parser.add_argument("--rows", default="", help="of " + ", ".join(row.name for row in ROWS) +
                        "; with growth of " + ", ".join(growth.EXPERIMENTS))
    parser.add_argument("--rounds", type=int, help=f"medians of so many (default {ROUNDS}, with --quick {QUICK_ROUNDS})")
    parser.add_argument("--minutes", type=float, default=24 * 60, help="no further round of a filesystem after that")
    parser.add_argument("--aging-seconds", type=int, help=f"of growth's load of that name (default {growth.FULL.aging_seconds})")
    parser.add_argument("--awake", action="store_true",
                        help="keep idle processors awake throughout, for every filesystem, as low_latency does for ours")
    parser.add_argument("--tree", type=Path, help="what cp -a copies (default /usr/include or a part of it)")
    parser.add_argument("--output", type=Path, default=Path("build/bench"), help="for the files (default %(default)s)")
    parser.add_argument("--programs", type=Path, required=True, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def choose(wanted: str, known: list[str], groups: dict[str, list[str]]) -> set[str]:
    if not wanted:
        return set(known)
    chosen: set[str] = set()
    for name in wanted.split(","):
        if name not in known and name not in groups:
            raise BenchError(f"'{name}' is not one of {', '.join([*known, *groups])}")
        chosen.update(groups.get(name, [name]))
    return chosen


def chosen_filesystems(wanted: str) -> list[Filesystem]:
    ours = [f.name for f in ALL if f.kind == "ashlarfs"]
    names = choose(wanted, [f.name for f in ALL], {"ashlarfs": ours})
    return [f for f in ALL if f.name in names]


def bench(options: argparse.Namespace, folder: Path) -> int:
    sizes, volume = (TINY, TINY_MIB) if options.tiny else (QUICK, QUICK_MIB) if options.quick else (FULL, FULL_MIB)
    small = options.quick or options.tiny
    rounds = options.rounds or (1 if options.tiny else QUICK_ROUNDS if small else ROUNDS)
    minutes = min(options.minutes, QUICK_MINUTES) if small else options.minutes
    rows = choose(options.rows, [row.name for row in ROWS], {})
    # In memory, so that empty caches do not slow what reads it.
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="ashlar-bench-") as memory:
        tree = Path(memory) / "tree"
        if os.spawnlp(os.P_WAIT, "cp", "cp", "-a", str(options.tree or sizes.tree), str(tree)) != 0:
            raise BenchError("cannot copy the tree into memory")
        sizes = Sizes(**{**vars(sizes), "tree": tree})
        with place(folder, options.programs, volume) as where:
            samples = measure_all(where, chosen_filesystems(options.fs), rows, sizes, rounds, minutes)
    if not samples:
        raise BenchError("nothing could be measured")
    table = report.Table(samples)
    report.write_json(options.output / "samples.json", samples)
    report.write_csv(options.output / "table.csv", table)
    targets = [report.target_table(table, ours) for ours in table.all_judged]
    parts = [report.speed_table(table), *targets, report.cost_table(table), report.summary(table)]
    text = "\n\n".join(part for part in parts if part) + "\n"
    (options.output / "table.md").write_text(text)
    drawn = write_plot(options.output / "bench.svg", table)
    print(text)
    note(f"written to {options.output}: samples.json, table.csv, table.md" + (", bench.svg" if drawn else ""))
    return 0


@contextlib.contextmanager
def idle_processors(awake: bool) -> Iterator[None]:
    """Kept from halting, if that is wanted: for as long as the kernel's file is open and says so."""
    if not awake:
        yield
        return
    with CPU_LATENCY.open("wb", buffering=0) as limit:
        limit.write(struct.pack("i", 0))
        yield


def stop(_signal: int, _frame: object) -> None:
    sys.exit(143)  # through every `finally`


def main() -> int:
    options = parse(sys.argv[1:])
    signal.signal(signal.SIGTERM, stop)
    options.output.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp"), prefix="ashlar-bench-") as name:
            os.environ["ASHLAR_BENCH_DIR"] = name
            with idle_processors(options.awake):
                if options.what == "growth":
                    sizes = TINY if options.tiny else QUICK if options.quick else FULL
                    return growth.run_growth(options, Path(name), sizes)
                return bench(options, Path(name))
    except (BenchError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
