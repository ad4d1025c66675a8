"""Running programs, and failing with what they said."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class BenchError(Exception):
    """Something that a measurement needs did not work; the message says what."""


def run(command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> str:
    """Runs a command and returns its standard output."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        env={**os.environ, "LC_ALL": "C", **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BenchError(f"{' '.join(words)}: exit status {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def timed(command: Sequence[str | Path]) -> float:
    """Runs a command; the seconds that it took."""
    began = time.monotonic()
    run(command)
    return time.monotonic() - began


def wait_until(what: str, holds: Callable[[], bool], limit_seconds: float = 60.0) -> None:
    """Polls until it holds."""
    ends = time.monotonic() + limit_seconds
    while not holds():
        if time.monotonic() > ends:
            raise BenchError(f"{what}: not within {limit_seconds:.0f} s")
        time.sleep(0.01)


def sync_filesystem(path: Path) -> None:
    """Makes what was written to the filesystem durable."""
    run(["sync", "-f", path])


def drop_caches() -> None:
    """Empties the kernel's caches, of every filesystem of the machine."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")
