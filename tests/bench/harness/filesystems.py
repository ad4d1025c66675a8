"""The filesystems compared: how each is made, mounted and unmounted."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .commands import BenchError, drop_caches, run, wait_until

RING_SWITCH = Path("/sys/module/fuse/parameters/enable_uring")


@dataclass(frozen=True)
class Filesystem:
    """One contestant. The words DEVICE and MOUNT in the commands stand for the two."""

    name: str
    kind: str  # ashlarfs, kernel, peer (another FUSE filesystem), null, raw
    make: tuple[str, ...] = ()
    mount: tuple[str, ...] = ()

    @property
    def is_fuse(self) -> bool:
        return self.kind in ("ashlarfs", "peer", "null")

    @property
    def keeps_contents(self) -> bool:
        return self.kind not in ("null", "raw")


def _ashlarfs(name: str, engine: str, transport: str, *more: str) -> Filesystem:
    return Filesystem(
        name,
        "ashlarfs",
        ("mkfs.ashlarfs", "-q", "-f", "DEVICE"),
        ("ashlarfs", "-o", ",".join([f"io_engine={engine}", f"fuse_transport={transport}", *more]), "DEVICE", "MOUNT"),
    )


def _kernel(name: str, force: str) -> Filesystem:
    return Filesystem(
        name, "kernel", (f"mkfs.{name}", "-q", force, "DEVICE"), ("mount", "-t", name, "DEVICE", "MOUNT")
    )


# In the order of the table: ours, those to compare with, the limits.
ALL = (
    _ashlarfs("ashlarfs-uring", "io_uring", "dev"),
    _ashlarfs("ashlarfs-aio", "aio", "dev"),
    _ashlarfs("ashlarfs-uring-ring", "io_uring", "io_uring"),
    _ashlarfs("ashlarfs-aio-ring", "aio", "io_uring"),
    _ashlarfs("ashlarfs-uring-low", "io_uring", "dev", "low_latency"),
    _kernel("ext4", "-F"),
    _kernel("xfs", "-f"),
    _kernel("btrfs", "-f"),
    # As its manual advises for speed: without big_writes the kernel splits writes into pages.
    Filesystem(
        "ntfs-3g", "peer", ("mkfs.ntfs", "-Q", "-q", "-F", "DEVICE"), ("ntfs-3g", "-o", "big_writes", "DEVICE", "MOUNT")
    ),
    Filesystem("fuse2fs", "peer", ("mkfs.ext4", "-q", "-F", "DEVICE"), ("fuse2fs", "DEVICE", "MOUNT")),
    Filesystem("null", "null", (), ("null_fuse", "MOUNT")),
    Filesystem("raw", "raw"),
)


def find_daemon(mount_point: Path) -> int:
    """The process that was started with this mount point among its arguments and serves it."""
    wanted = os.fsencode(mount_point)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # ended meanwhile
        if wanted in words:
            return int(entry.name)
    raise BenchError(f"no daemon serves {mount_point}")


def has_ended(pid: int) -> bool:
    """A process that nobody has waited for yet has ended too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


class Mounted:
    """A filesystem made anew on the device and mounted; close() unmounts it."""

    def __init__(self, filesystem: Filesystem, device: str, mount_point: Path, programs: Path) -> None:
        self.filesystem = filesystem
        self.device = device
        self.root = mount_point
        self.daemon: int | None = None
        self._programs = programs
        self._ring_switch = RING_SWITCH.read_text() if RING_SWITCH.exists() else ""
        run(["wipefs", "--all", "--quiet", device])
        if filesystem.make:
            run(self._words(filesystem.make))
        self._mount()

    def _words(self, command: tuple[str, ...]) -> list[str | Path]:
        stands_for = {"DEVICE": self.device, "MOUNT": str(self.root)}
        words: list[str | Path] = [stands_for.get(word, word) for word in command]
        ours = self._programs / command[0]
        if ours.exists():
            words[0] = ours
        return words

    def _mount(self) -> None:
        if not self.filesystem.mount:
            return
        words = self._words(self.filesystem.mount)
        if self.filesystem.kind == "null":
            self.daemon = os.posix_spawn(words[0], words, os.environ, setpgroup=0)  # no Ctrl-C for it
            wait_until(f"{self.root} mounted", lambda: os.path.ismount(self.root))
            info = os.stat(self.root)
            limit = Path(f"/sys/class/bdi/{os.major(info.st_dev)}:{os.minor(info.st_dev)}/read_ahead_kb")
            limit.write_text("4096")  # as ashlarfs sets it
            return
        run(words)
        if not os.path.ismount(self.root):
            raise BenchError(f"{self.filesystem.name}: not mounted")
        if self.filesystem.is_fuse:
            self.daemon = find_daemon(self.root)

    def _unmount(self) -> None:
        if os.path.ismount(self.root):
            run(["umount", self.root])
        daemon, self.daemon = self.daemon, None
        if daemon is None:
            return
        if self.filesystem.kind == "null":
            os.waitpid(daemon, 0)
        else:
            wait_until(f"{self.filesystem.name} ended", lambda: has_ended(daemon))

    def cold(self) -> None:
        """Leaves nothing in caches, the daemon's own included: mounts anew. The null filesystem would lose all names."""
        if self.filesystem.mount and self.filesystem.kind != "null":
            self._unmount()
            self._mount()
        drop_caches()

    def close(self) -> None:
        try:
            self._unmount()
        except BenchError:
            if os.path.ismount(self.root):
                run(["umount", "--lazy", self.root])
            raise
        finally:
            if self._ring_switch and RING_SWITCH.read_text() != self._ring_switch:
                RING_SWITCH.write_text(self._ring_switch)
