"""Draws how far an uptrained model still is from its original against the tokens that it saw, both on logarithmic scales.

    python gap_plot.py run/log.jsonl --out gap.svg

The line is a power law KL = c·tokens^−a, fitted by least squares of logarithms to the last evaluations; it is drawn on to what the
paper took, which says where such a law would lead and not that it holds so far.
"""

import math
from typing import NamedTuple

from log_plot import decade_lines, draw, sheet

WIDTH, HEIGHT, LEFT, MARGIN = 720, 380, 64, 48
COLOUR, SECOND = "#0e7490", "#c2410c"
# Of Relaxed Recursive Transformers (Bae et al. 2024, §4.1): ablations, and the models of its main table.
PAPER = (15e9, 60e9)
# Evaluations, the latest, that the line is fitted to: a factor of four or more in tokens.
FITTED = 3


class Law(NamedTuple):
    """KL = factor · tokens^−power."""

    factor: float
    power: float

    def at(self, tokens: float) -> float:
        return self.factor * tokens**-self.power


def power_law(points: list[tuple[float, float]]) -> Law:
    """Least squares of log KL on log tokens; points are (tokens, KL), two or more."""
    xs, ys = ([math.log(value) for value in column] for column in zip(*points))
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    slope = sum((a - x) * (b - y) for a, b in zip(xs, ys)) / sum((a - x) ** 2 for a in xs)
    return Law(math.exp(y - slope * x), -slope)


def evaluations(records: list[dict]) -> tuple[float, list[tuple[float, float]]]:
    """→ KL before training, and (tokens, KL) of each evaluation after."""
    told = {record["tokens"]: record["kl"] for record in records if "kl" in record}
    if 0 not in told or len(told) <= FITTED:
        raise ValueError(f"the log has no evaluation before training, or fewer than {FITTED} after")
    return told[0], sorted((tokens, kl) for tokens, kl in told.items() if tokens)


def gap_plot(records: list[dict]) -> str:
    before, points = evaluations(records)
    law = power_law(points[-FITTED:])
    first, last = math.floor(math.log10(points[0][0])), math.ceil(math.log10(PAPER[-1]))
    values = [before, *(kl for _, kl in points), law.at(PAPER[-1])]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))

    def x(tokens: float) -> float:
        return LEFT + (WIDTH - LEFT - MARGIN) * (math.log10(tokens) - first) / (last - first)

    def y(kl: float) -> float:
        return HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (math.log10(kl) - low) / (high - low)

    parts = sheet(WIDTH, HEIGHT, LEFT, "KL from the original on held-out text, nats a token, by tokens of uptraining")
    parts += decade_lines(range(low, high + 1), y, LEFT, WIDTH - MARGIN)
    for power in range(first, last + 1):
        parts.append(f'<text x="{x(10.0**power):.1f}" y="{HEIGHT - MARGIN + 18}" text-anchor="middle">1e{power}</text>')
    for at in map(x, PAPER):
        ends = f'x1="{at:.1f}" x2="{at:.1f}" y1="{MARGIN}" y2="{HEIGHT - MARGIN}"'
        parts.append(f'<line {ends} stroke="{SECOND}" stroke-dasharray="2 3"/>')
    parts.append(f'<text x="{x(PAPER[0]) - 6:.1f}" y="{MARGIN + 12}" text-anchor="end" fill="{SECOND}">Bae et al.: 15 and 60 billion</text>')
    at = y(before)
    parts.append(f'<line x1="{LEFT}" x2="{WIDTH - MARGIN}" y1="{at:.1f}" y2="{at:.1f}" stroke="{COLOUR}" stroke-dasharray="6 4"/>')
    parts.append(f'<text x="{LEFT + 6}" y="{at - 6:.1f}" fill="{COLOUR}">before: {before:.2f}</text>')
    ends = " ".join(f"{x(tokens):.1f},{y(law.at(tokens)):.1f}" for tokens in (points[-1][0], PAPER[-1]))
    parts.append(f'<polyline points="{ends}" fill="none" stroke="{COLOUR}" stroke-dasharray="4 4"/>')
    line = " ".join(f"{x(tokens):.1f},{y(kl):.1f}" for tokens, kl in points)
    parts.append(f'<polyline points="{line}" fill="none" stroke="{COLOUR}" stroke-width="1.5"/>')
    parts += [f'<circle cx="{x(tokens):.1f}" cy="{y(kl):.1f}" r="3" fill="{COLOUR}"/>' for tokens, kl in points]
    told = f"if KL went on falling as tokens^-{law.power:.2f}"
    middle = math.sqrt(points[-1][0] * PAPER[0])
    parts.append(f'<text x="{x(middle):.1f}" y="{y(law.at(middle)) - 10:.1f}" fill="{COLOUR}">{told}</text>')
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    draw(gap_plot, __doc__)
