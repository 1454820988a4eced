"""What the plots of a training log share: the log, a white sheet with a title, and lines for powers of ten."""

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path


def sheet(width: int, height: int, left: int, title: str) -> list[str]:
    """→ parts of an SVG that begins with its title; `</svg>` is left to the caller."""
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{left}" y="24">{title}</text>',
    ]


def decade_lines(powers: Iterable[int], y: Callable[[float], float], left: int, right: int) -> list[str]:
    """A line across the sheet for each power of ten, named at its left."""
    parts = []
    for power in powers:
        at = y(10.0**power)
        parts.append(f'<line x1="{left}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 6}" y="{at + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    return parts


def draw(plot: Callable[[list[dict]], str], description: str) -> None:
    """The command of a plot: reads log.jsonl, writes --out."""
    parser = argparse.ArgumentParser(description=description.split("\n\n")[0])
    parser.add_argument("log", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.write_text(plot([json.loads(line) for line in options.log.read_text().splitlines()]))
