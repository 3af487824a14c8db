"""Draw docs/bench.svg: wall time and client CPU against the number of nodes, with logarithmic axes.

It shows first applies of all drivers, and nodeprep's verify.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from bench.drivers import DRIVERS, FIRST, FLOOR, NODEPREP, TUNED, VERIFY
from bench.results import Results


@dataclass(frozen=True, slots=True)
class Series:
    """Describe one line: a driver's runs of a phase, and the line's look."""

    driver: str
    colour: str
    phase: str = FIRST
    width: float = 1.5
    dashes: str = "none"

    @property
    def label(self) -> str:
        """Return its name for the legend."""
        verb = {NODEPREP: {FIRST: ", first apply", VERIFY: ", verify"}}.get(self.driver, {})
        return DRIVERS[self.driver].label + verb.get(self.phase, "")

    @property
    def stroke(self) -> str:
        """Return the look of the line as SVG's attributes."""
        return f'stroke="{self.colour}" stroke-width="{self.width}" stroke-dasharray="{self.dashes}"'


# Colours that colour-blind people can tell apart (Okabe and Ito).
_SERIES = (
    Series(NODEPREP, "#d55e00", width=3),
    Series(NODEPREP, "#d55e00", VERIFY, width=2, dashes="6 3"),
    Series(FLOOR, "#999999"),
    Series(TUNED, "#56b4e9"),
    Series("xargs-ssh-tuned", "#009e73"),
    Series("xargs-ssh", "#0072b2"),
    Series("fabric-naive", "#cc79a7"),
    Series("pyinfra", "#e69f00"),
    Series("ansible-script", "#000000"),
)
_WIDTH, _HEIGHT, _LEFT, _TOP, _BETWEEN, _LEGEND = 340, 300, 60, 40, 80, 280
_FONT = 'font-family="sans-serif" font-size="12"'

Line = list[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Scale:
    """Map values from low to high to an axis of so many pixels, logarithmically."""

    low: float
    high: float
    pixels: float

    def at(self, value: float) -> float:
        """Return the pixels from the beginning of the axis to a value."""
        return self.pixels * math.log(value / self.low) / math.log(self.high / self.low)

    def ticks(self) -> list[float]:
        """Return the powers of ten on the axis."""
        first, last = round(math.log10(self.low)), round(math.log10(self.high))
        return [10.0**exponent for exponent in range(first, last + 1)]


def _scale(values: Sequence[float], pixels: float) -> Scale:
    """Return the axis between the powers of ten around all values."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return Scale(10.0**low, 10.0 ** max(high, low + 1), pixels)


def lines_of(results: Results, figure: str) -> dict[Series, Line]:
    """Return the line of each series that was measured: (nodes, median of the figure), for near nodes."""
    sizes = [nodes for rtt_ms, nodes in results.places() if not rtt_ms]
    found = {
        each: [(nodes, value) for nodes in sizes if (value := results.median(figure, each.driver, each.phase, nodes))]
        for each in _SERIES
    }
    return {series: line for series, line in found.items() if line}


def svg(results: Results) -> str:
    """Return the picture as SVG; it is empty if nothing near was measured."""
    width, height = _LEFT + 2 * _WIDTH + _BETWEEN + _LEGEND, _TOP + _HEIGHT + 60
    walls = lines_of(results, "wall")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {_FONT}>',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    if walls:
        parts += _panel("wall time, s", walls, _LEFT)
        parts += _panel("client CPU, s", lines_of(results, "cpu"), _LEFT + _WIDTH + _BETWEEN)
        parts += _legend(list(walls), _LEFT + 2 * _WIDTH + _BETWEEN + 20)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(title: str, lines: dict[Series, Line], left: float) -> Iterator[str]:
    across = _scale([nodes for line in lines.values() for nodes, _ in line], _WIDTH)
    up = _scale([value for line in lines.values() for _, value in line], _HEIGHT)
    yield f'<g transform="translate({left},{_TOP})">'
    yield f'<text x="{_WIDTH / 2}" y="-15" text-anchor="middle" font-weight="bold">{escape(title)}</text>'
    for value in up.ticks():
        y = _HEIGHT - up.at(value)
        yield f'<line x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        yield f'<text x="-6" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
    for value in across.ticks():
        x = across.at(value)
        yield f'<line y2="{_HEIGHT}" x1="{x:.1f}" x2="{x:.1f}" stroke="#ddd"/>'
        yield f'<text x="{x:.1f}" y="{_HEIGHT + 18}" text-anchor="middle">{value:,.0f}</text>'
    yield f'<text x="{_WIDTH / 2}" y="{_HEIGHT + 40}" text-anchor="middle">nodes</text>'
    for series, line in reversed(lines.items()):  # nodeprep's lines come last, on top
        points = [(across.at(nodes), _HEIGHT - up.at(value)) for nodes, value in line]
        yield from _curve(series, points)
    yield "</g>"


def _curve(series: Series, points: Sequence[tuple[float, float]]) -> Iterator[str]:
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    yield f'<polyline points="{joined}" fill="none" {series.stroke}/>'
    yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{series.width + 1}" fill="{series.colour}"/>' for x, y in points)


def _legend(shown: Sequence[Series], left: float) -> Iterator[str]:
    for number, series in enumerate(shown):
        y = _TOP + 10 + 22 * number
        yield f'<line x1="{left}" x2="{left + 24}" y1="{y}" y2="{y}" {series.stroke}/>'
        yield f'<text x="{left + 32}" y="{y + 4}">{escape(series.label)}</text>'
