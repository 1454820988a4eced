"""Draws the losses of a log.jsonl as an SVG: one line for each pass, over steps.

    python loss_plot.py directory/log.jsonl --out loss.svg
"""

import math

from log_plot import decade_lines, draw, sheet

WIDTH, HEIGHT, MARGIN = 720, 360, 48
COLOURS = ("#c2410c", "#0e7490", "#15803d", "#6d28d9", "#a16207")


def loss_plot(records: list[dict]) -> str:
    """Losses are drawn on a logarithmic scale."""
    points = [(record["step"], record["passes"]) for record in records if "passes" in record]
    if not points:
        raise ValueError("the log has no losses yet")
    last = points[-1][0]
    values = [value for _, passes in points for value in passes if value > 0]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))

    def x(step: int) -> float:
        return MARGIN + (WIDTH - 2 * MARGIN) * step / last

    def y(value: float) -> float:
        share = (math.log10(max(value, 10.0**low)) - low) / (high - low)
        return HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * share

    parts = sheet(WIDTH, HEIGHT, MARGIN, "loss of an answer's token after each pass, nats")
    parts += decade_lines(range(low, high + 1), y, MARGIN, WIDTH - MARGIN)
    for tick in range(5):
        step = last * tick // 4
        parts.append(f'<text x="{x(step):.1f}" y="{HEIGHT - MARGIN + 18}" text-anchor="middle">{step}</text>')
    for index in range(len(points[0][1])):
        colour = COLOURS[index % len(COLOURS)]
        line = " ".join(f"{x(step):.1f},{y(passes[index]):.1f}" for step, passes in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(f'<text x="{WIDTH - MARGIN - 60}" y="{MARGIN + 16 * index}" fill="{colour}">pass {index + 1}</text>')
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    draw(loss_plot, __doc__)
