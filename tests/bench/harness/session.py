"""One mounted filesystem and what the rows have put on it so far."""

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from .commands import run, sync_filesystem
from .filesystems import Mounted

JOBS = Path(__file__).resolve().parent.parent / "jobs"


@dataclass(frozen=True)
class Sizes:
    """How much work a row is."""

    file_mib: int
    seconds: int  # of the jobs that run for a time
    files: int
    durable_files: int
    inserts: int
    tree: Path  # copied by cp -a
    dbench_seconds: int


@dataclass(frozen=True)
class Work:
    """What one measurement did: operations (or bytes) and the seconds that they took."""

    operations: float
    seconds: float


class Session:
    """Runs the programs of the rows on one mount. Each `need_` makes what a row starts from, unless it is there."""

    MANY_DIRECTORIES = 2

    def __init__(self, mounted: Mounted, sizes: Sizes, programs: Path) -> None:
        self.mounted = mounted
        self.sizes = sizes
        self.programs = programs
        self._names = ""  # of the many files: "", made or renamed
        self._file_written = False

    @property
    def target(self) -> Path:
        """What fio writes to: a file, or the device itself."""
        return Path(self.mounted.device) if self.mounted.filesystem.kind == "raw" else self.mounted.root / "file"

    def fio(self, job: str, target: Path, size_mib: int | None = None, **variables: object) -> Work:
        environment = {
            "TARGET": str(target),
            "SIZE": str(size_mib or self.sizes.file_mib),
            "RUNTIME": str(self.sizes.seconds),
            **{name: str(value) for name, value in variables.items()},
        }
        output = run(["fio", "--output-format=json", "--randrepeat=1", JOBS / f"{job}.fio"], env=environment)
        jobs = json.loads(output[output.index("{") :])["jobs"]
        parts = [part for part in (jobs[0]["read"], jobs[0]["write"]) if part["total_ios"]]
        seconds = max(part["runtime"] for part in parts) / 1000  # the closing fsync included
        return Work(sum(part["total_ios"] for part in parts), seconds)

    def small_files(self, phase: str, name: str, files: int, directories: int, threads: int) -> Work:
        top = self.mounted.root / name
        top.mkdir(exist_ok=True)
        output = run([self.programs / "small_files", phase, top, str(files), str(directories), str(threads)])
        operations, seconds = output.split()
        return Work(float(operations), float(seconds))

    def many(self, phase: str, threads: int = 1) -> Work:
        work = self.small_files(phase, "many", self.sizes.files, self.MANY_DIRECTORIES, threads)
        self._names = {"create": "made", "rename": "renamed", "unlink": ""}.get(phase, self._names)
        return work

    def need_file(self) -> None:
        if not self._file_written:
            self.write_file()

    def write_file(self) -> Work:
        if self.mounted.filesystem.kind != "raw":
            self.target.unlink(missing_ok=True)
            sync_filesystem(self.mounted.root)
        work = self.fio("sequential_write", self.target)
        self._file_written = True
        return work

    def need_names(self, names: str) -> None:
        """names: made or renamed."""
        if not self._names:
            self.many("create")
        if names == "made" and self._names == "renamed":
            self.many("unlink")
            self.many("create")
        if names == "renamed" and self._names == "made":
            self.many("rename")
        sync_filesystem(self.mounted.root)

    def copy_tree(self) -> Work:
        began = time.monotonic()
        run(["cp", "-a", self.sizes.tree, self.mounted.root / "tree"])
        sync_filesystem(self.mounted.root)
        return Work(1, time.monotonic() - began)

    def need_tree(self) -> None:
        if not (self.mounted.root / "tree").exists():
            self.copy_tree()

    def forget_tree(self) -> None:
        shutil.rmtree(self.mounted.root / "tree", ignore_errors=True)
