"""Draws how deep tokens go, by task and by what they are there for, and what exits cost, from the JSON of `rondo eval --exact`.

    python exit_plot.py exact.json --bundle models/built-in --exit 'gate 0.5' --out exits.svg
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

from token_kinds import KINDS, token_kinds
from tokenizer import read_tokenizer

WIDTH, BAR, LEFT, GAP = 720, 20, 150, 46
COLOUR, SECOND = "#0e7490", "#c2410c"


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def depths(report: dict, exit_name: str, bundle: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Mean passes by task and by kind of token; a first token follows from a prompt, which runs every pass, and does not count."""
    tokenizer = read_tokenizer(bundle)
    by_task, by_kind = defaultdict(list), defaultdict(list)
    run = next(run for run in report["reports"][0]["passes"] if run["exit"] == exit_name)
    for question, passes in zip(report["asked"], run["tokens"]):
        ids = tokenizer.encode(question["answer"]).ids
        tokens = [tokenizer.decode([token]) for token in ids]
        for kind, depth in list(zip(token_kinds(question["answer"], tokens), passes))[1:]:
            by_task[question["task"]].append(depth)
            by_kind[kind].append(depth)
    return (
        {task: mean(values) for task, values in sorted(by_task.items())},
        {kind: mean(by_kind[kind]) for kind in KINDS if kind in by_kind},
    )


def bars(title: str, values: dict[str, float], top: float, most: float) -> list[str]:
    parts = [f'<text x="8" y="{top}" font-weight="bold">{title}</text>']
    for index, (name, value) in enumerate(values.items()):
        y = top + 10 + index * BAR
        width = (WIDTH - LEFT - 60) * value / most
        parts.append(f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{name}</text>')
        parts.append(f'<rect x="{LEFT}" y="{y + 2}" width="{width:.1f}" height="{BAR - 5}" fill="{COLOUR}"/>')
        parts.append(f'<text x="{LEFT + width + 6:.1f}" y="{y + 14}">{value:.2f}</text>')
    return parts


def curve(scores: list[dict], top: float, most: int, chosen: str) -> list[str]:
    """Share answered exactly against mean passes: depths in one colour, exits in the other."""
    height = 220
    lowest = min(score["all"] for score in scores)
    floor = int(lowest * 10) / 10

    def x(passes: float) -> float:
        return LEFT + (WIDTH - LEFT - 60) * (passes - 1) / (most - 1)

    def y(share: float) -> float:
        return top + 14 + height * (1 - (share - floor) / (1 - floor))

    parts = [f'<text x="8" y="{top}" font-weight="bold">answered exactly, percent, against mean passes</text>']
    for tick in range(5):
        share = floor + (1 - floor) * tick / 4
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - 60}" y1="{y(share):.1f}" y2="{y(share):.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(share) + 4:.1f}" text-anchor="end">{100 * share:.1f}</text>')
    for passes in range(1, most + 1):
        parts.append(f'<text x="{x(passes):.1f}" y="{top + height + 32}" text-anchor="middle">{passes}</text>')
    for colour, fixed in ((SECOND, True), (COLOUR, False)):
        line = sorted((s["meanPasses"], s["all"], s["exit"]) for s in scores if s["exit"].startswith("depth") == fixed)
        points = " ".join(f"{x(passes):.1f},{y(share):.1f}" for passes, share, _ in line)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}"/>')
        for passes, share, name in line:
            size = 6 if name == chosen else 3
            parts.append(f'<circle cx="{x(passes):.1f}" cy="{y(share):.1f}" r="{size}" fill="{colour}"><title>{name}</title></circle>')
    parts.append(f'<text x="{WIDTH - 60}" y="{top}" text-anchor="end" fill="{SECOND}">all rows at one depth</text>')
    parts.append(f'<text x="{WIDTH - 60}" y="{top + 14}" text-anchor="end" fill="{COLOUR}">rows that leave by themselves</text>')
    return parts


def exit_plot(report: dict, exit_name: str, bundle: Path) -> str:
    by_task, by_kind = depths(report, exit_name, bundle)
    scores = report["reports"][0]["scores"]
    most = max(round(score["meanPasses"]) for score in scores)
    kinds_at = GAP + len(by_task) * BAR + GAP
    curve_at = kinds_at + len(by_kind) * BAR + GAP
    height = curve_at + 270
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">',
            f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
            *bars(f"mean passes by task, {exit_name}", by_task, 28, most),
            *bars("mean passes by what a token is there for", by_kind, kinds_at, most),
            *curve(scores, curve_at, most, exit_name),
            "</svg>",
            "",
        ]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("report", type=Path)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--exit", required=True, help="as the table of rondo eval names it")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.write_text(exit_plot(json.loads(options.report.read_text()), options.exit, options.bundle))
