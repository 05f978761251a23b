"""Charts as SVG: nothing but text, so that no library is needed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 480, 320
SLICES = 10
"""What a pie shows one by one; the rest together."""
COLOURS = (
    "#4477aa",
    "#ee6677",
    "#228833",
    "#ccbb44",
    "#66ccee",
    "#aa3377",
    "#bbbbbb",
    "#997700",
    "#004488",
    "#bb5566",
    "#dddddd",
)


def _svg(body: str) -> str:
    start = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="11">'
    return f"{start}\n{body}</svg>\n"


def bars(labels: Sequence[str], numbers: Sequence[int]) -> str:
    """A bar for each number."""
    most = max(numbers, default=0) or 1
    step = (WIDTH - 40) / max(1, len(numbers))
    every = max(1, math.ceil(len(labels) / 12))
    out = []
    for at, (label, number) in enumerate(zip(labels, numbers, strict=True)):
        high = (HEIGHT - 50) * number / most
        left = 30 + at * step
        out.append(
            f'<rect x="{left:.1f}" y="{HEIGHT - 30 - high:.1f}" width="{step * 0.8:.1f}" height="{high:.1f}" '
            f'fill="{COLOURS[0]}"/>\n'
        )
        if at % every == 0:
            out.append(f'<text x="{left:.1f}" y="{HEIGHT - 14}">{escape(label.strip())}</text>\n')
    out.append(f'<text x="2" y="14">{most}</text>\n')
    return _svg("".join(out))


def pie(names: Sequence[str], numbers: Sequence[int]) -> str:
    """A slice for each of the largest, one for the others."""
    shares = list(zip(names, numbers, strict=True))[:SLICES]
    others = sum(numbers[SLICES:])
    if others:
        shares.append(("Other", others))
    total = sum(number for _, number in shares) or 1
    x, y, radius, angle = 150.0, HEIGHT / 2, 130.0, -math.pi / 2
    out = []
    for at, (name, number) in enumerate(shares):
        colour = COLOURS[at % len(COLOURS)]
        turn = 2 * math.pi * number / total
        if turn >= 2 * math.pi - 1e-9:
            out.append(f'<circle cx="{x}" cy="{y}" r="{radius}" fill="{colour}"/>\n')
        elif number:
            a = f"{x + radius * math.cos(angle):.2f},{y + radius * math.sin(angle):.2f}"
            b = f"{x + radius * math.cos(angle + turn):.2f},{y + radius * math.sin(angle + turn):.2f}"
            out.append(f'<path d="M{x},{y} L{a} A{radius},{radius} 0 {int(turn > math.pi)} 1 {b} Z" fill="{colour}"/>\n')
        angle += turn
        out.append(f'<rect x="300" y="{20 + at * 18}" width="10" height="10" fill="{colour}"/>')
        out.append(f'<text x="316" y="{29 + at * 18}">{escape(name[:30])}</text>\n')
    return _svg("".join(out))
