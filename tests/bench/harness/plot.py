"""The table as a picture: for every row a group of bars, speed relative to ext4 on a logarithmic scale."""

import math
from pathlib import Path
from xml.sax.saxutils import escape

from .report import KINDS, Table, number

COLOURS = {
    "ashlarfs-uring": "#1f5fa8", "ashlarfs-aio": "#5b93d1", "ashlarfs-uring-ring": "#12807a",
    "ashlarfs-aio-ring": "#6dbbb2", "ashlarfs-uring-low": "#7a4fa8", "xfs": "#8a8a8a", "btrfs": "#b9b9b9", "ntfs-3g": "#c8702a",
    "fuse2fs": "#e0ac74", "null": "#efe3b0",
}  # fmt: skip
LEFT, RIGHT, TOP, BOTTOM = 300, 20, 70, 40
WIDTH, BAR, GAP = 1000, 7, 9
LOWEST, HIGHEST = 1 / 32, 32  # bars end there


def _x(ratio: float) -> float:
    part = math.log(min(max(ratio, LOWEST), HIGHEST) / LOWEST) / math.log(HIGHEST / LOWEST)
    return LEFT + part * (WIDTH - LEFT - RIGHT)


def _text(x: float, y: float, text: str, anchor: str = "start", size: int = 12) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" text-anchor="{anchor}">{escape(text)}</text>'


def _legend(names: list[str]) -> list[str]:
    parts = []
    x = LEFT
    for name in names:
        parts.append(f'<rect x="{x}" y="32" width="10" height="10" fill="{COLOURS[name]}"/>')
        parts.append(_text(x + 14, 41, name, size=11))
        x += 28 + 6 * len(name)
    return parts


def _scale(height: float) -> list[str]:
    parts = []
    for power in range(-5, 6):
        ratio = 2.0**power
        x = _x(ratio)
        colour = "#000" if power == 0 else "#ddd"
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{height - BOTTOM:.0f}" stroke="{colour}"/>')
        label = f"{ratio:g}" if power >= 0 else f"1/{2**-power}"
        parts.append(_text(x, height - BOTTOM + 16, label, "middle", 11))
    return parts


def _bar(y: float, ratio: float, colour: str, title: str) -> str:
    begins, ends = sorted((_x(1), _x(ratio)))
    return (
        f'<rect x="{begins:.1f}" y="{y:.0f}" width="{max(ends - begins, 1):.1f}" height="{BAR - 1}" fill="{colour}">'
        f"<title>{escape(title)}</title></rect>"
    )


def write_plot(path: Path, table: Table) -> bool:
    """Returns whether there was something to draw: ratios need ext4."""
    names = [name for name in table.filesystems if name in COLOURS and KINDS[name] != "raw"]
    rows = [row for row in table.rows if (row.name, "ext4") in table.cells]
    if not names or not rows:
        return False
    body: list[str] = []
    y = float(TOP)
    for row in rows:
        shown = [(name, table.ratio(row, name, ["ext4"])) for name in names]
        bars = [(name, ratio) for name, ratio in shown if ratio is not None]
        body.append(_text(LEFT - 10, y + BAR * len(bars) / 2 + 4, row.title, "end"))
        for name, ratio in bars:
            body.append(_bar(y, ratio, COLOURS[name], f"{name}, {row.title}: {number(ratio)} times ext4"))
            y += BAR
        y += GAP
    height = y + BOTTOM
    frame = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" font-family="sans-serif"'
    head = _text(LEFT, 20, "Speed relative to ext4 on the same loop device (more is better)", size=14)
    lines = [f"<svg {frame}>", '<rect width="100%" height="100%" fill="#fff"/>', head]
    path.write_text("\n".join([*lines, *_legend(names), *_scale(height), *body, "</svg>"]) + "\n")
    return True
