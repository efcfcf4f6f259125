#!/usr/bin/python3
"""Draws a training's log: the loss, and what validation found, over the share of the budget.

    plot.py target/training/counter8/log.txt curve.svg
"""
import pathlib
import re
import sys

W, H, LEFT, RIGHT, TOP, BOTTOM = 720, 360, 56, 56, 28, 36
LOSS = re.compile(r"\d\d:\d\d:\d\d ([\d.]+) step \d+ .* loss ([\d.]+) ")
FOUND = re.compile(r"val cAcc ([\d.]+) mAP50 ([\d.]+) mmAP ([\d.]+)")
COLOURS = {"loss": "#888", "cAcc": "#c33", "mAP50": "#36c", "mmAP": "#393"}


def read(lines):
    """-> {name: [(share of the budget, value)]}"""
    rows, done = {name: [] for name in COLOURS}, 0.0
    for line in lines:
        if m := LOSS.match(line):
            done = float(m[1])
            rows["loss"].append((done, float(m[2])))
        elif m := FOUND.search(line):
            for name, value in zip(("cAcc", "mAP50", "mmAP"), m.groups()):
                rows[name].append((done, float(value)))
    return rows


def svg(rows):
    most = max([v for _, v in rows["loss"]], default=1.0)
    x = lambda share: LEFT + share * (W - LEFT - RIGHT)
    y = lambda part: H - BOTTOM - part * (H - TOP - BOTTOM)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {W} {H}" font-family="sans-serif" font-size="12">',
           f'<rect width="{W}" height="{H}" fill="#fff"/>']
    for i in range(5):
        part = i / 4
        out += [f'<path d="M{LEFT} {y(part):.1f}H{W - RIGHT}" stroke="#ddd"/>',
                f'<text x="{LEFT - 8}" y="{y(part) + 4:.1f}" text-anchor="end">{most * part:.3g}</text>',
                f'<text x="{W - RIGHT + 8}" y="{y(part) + 4:.1f}">{part:.2f}</text>',
                f'<text x="{x(part):.1f}" y="{H - 12}" text-anchor="middle">{part:.2f}</text>']
    for i, (name, points) in enumerate(rows.items()):
        height = most if name == "loss" else 1.0
        line = " ".join(f"{x(a):.1f},{y(b / height):.1f}" for a, b in points)
        out += [f'<polyline points="{line}" fill="none" stroke="{COLOURS[name]}" stroke-width="1.5"/>',
                *(f'<circle cx="{x(a):.1f}" cy="{y(b / height):.1f}" r="2.5" fill="{COLOURS[name]}"/>' for a, b in points if name != "loss"),
                f'<text x="{LEFT + 90 * i}" y="16" fill="{COLOURS[name]}">{name}{" (left)" if name == "loss" else ""}</text>']
    return "\n".join([*out, "</svg>"]) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    pathlib.Path(sys.argv[2]).write_text(svg(read(pathlib.Path(sys.argv[1]).read_text().splitlines())))
