"""The one loop device that every filesystem gets in turn."""

import errno
import fcntl
import re
import sys
import time
from pathlib import Path

from .commands import BenchError, run

MIB = 1 << 20
# Discards are switched off, so that the image stays allocated: all write to the same ground, and mkfs cannot change it.
DISCARD_LIMIT = "queue/discard_max_bytes"
# That setting outlives the detaching, so the device itself goes too (linux/loop.h).
LOOP_CTL_REMOVE = 0x4C81
REMOVE_SECONDS = 10  # somebody may be having a last look at it, or it is still being detached


class LoopDevice:
    """An image file and the loop device over it, with direct I/O. Detached and deleted by close()."""

    def __init__(self, image: Path, size: int, *, filled: bool) -> None:
        self._image = image
        self.path = ""
        with image.open("xb") as file:
            file.truncate(size)
            if filled:
                block = bytes(4 * MIB)
                for _ in range(size // len(block)):
                    file.write(block)
        try:
            self.path = run(["losetup", "--find", "--show", "--direct-io=on", image]).strip()
            if self._setting("loop/dio").read_text().strip() != "1":
                raise BenchError(f"{self.path}: no direct I/O on {image}")
            if filled:
                self._setting(DISCARD_LIMIT).write_text("0")
        except BaseException:
            self.close()
            raise

    def _setting(self, name: str) -> Path:
        return Path("/sys/block") / Path(self.path).name / name

    def close(self) -> None:
        try:
            if self.path:
                run(["losetup", "--detach", self.path])
                self._remove()
        finally:
            self._image.unlink(missing_ok=True)

    def _remove(self) -> None:
        number = int(re.sub(r"\D", "", Path(self.path).name))
        deadline = time.monotonic() + REMOVE_SECONDS
        with open("/dev/loop-control", "rb") as control:
            while True:
                try:
                    fcntl.ioctl(control, LOOP_CTL_REMOVE, number)
                    return
                except OSError as error:
                    if error.errno != errno.EBUSY or time.monotonic() > deadline:
                        # The setting cannot be taken back, so people should know.
                        print(f"{self.path} stays, without discards: {error.strerror}", file=sys.stderr)
                        return
                time.sleep(0.1)
