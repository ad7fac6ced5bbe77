"""The pictures of a gear: the spectrum about its mesh, and its synchronous average over one turn, teeth numbered."""

from __future__ import annotations

import numpy as np

from faultdx.report import curves
from faultdx.report.words import say
from faultdx.signals.gears import Gear, GearWitness

_AROUND = 6.5  # orders of the first shaft to either side of the mesh: three sidebands of either shaft, and some floor
_POINTS = 900
_SIDES = 3


def strongest(witness: GearWitness) -> int:
    """Return the mesh harmonic to be drawn: the highest of those that are seen, by amplitude; from 1, 0 for none."""
    seen = [(line.amplitude, k) for k, line in enumerate(witness.mesh, 1) if line.seen]
    return max(seen, default=(0.0, 0))[1]


def mesh_spectrum(witness: GearWitness, harmonic: int, *, unit: str | None) -> str:
    """Return the order spectrum about a mesh harmonic as an SVG element: its sidebands by shaft, numbered 1 and 2."""
    spectrum = witness.spectrum
    assert spectrum is not None
    centre = float(harmonic * witness.teeth[0])
    what = say("gears.axis_mesh")
    with curves.style(what):
        figure, (ax,) = curves.axes_of(1)
        use = np.abs(spectrum.orders - centre) <= _AROUND
        ax.plot(spectrum.orders[use], spectrum.amplitude[use], color=curves.LINE, linewidth=0.8)
        ax.plot(spectrum.orders[use], spectrum.floor[use], color=curves.INK, linewidth=0.8, alpha=0.4)
        ax.set_yscale("log")
        low, high = float(spectrum.floor[use].min()), float(spectrum.amplitude[use].max())
        ax.set_ylim(max(low / 2.0, high * 1e-5), high * 6.0)
        ax.set_xlim(centre - _AROUND, centre + _AROUND)
        ax.axvline(centre, color=curves.MARK, linewidth=0.8, linestyle="--")
        curves.label(ax, f"{harmonic}× {say('gears.mesh')}", centre, row=0)
        for row, gear in enumerate(witness.gears, 1):
            for k in range(-_SIDES, _SIDES + 1):
                place = centre + k * gear.order
                if k == 0:
                    continue
                ax.axvline(place, color=curves.INK, linewidth=0.5, linestyle=":", alpha=0.6)
                curves.label(ax, str(row), place, row=row)
        curves.number_axis(ax.xaxis)
        ax.set_xlabel(say("pictures.order"))
        ax.set_ylabel(say("pictures.amplitude", unit=curves.unit_of(unit)), parse_math=False)
        return curves.inline(figure, what)


def one_turn(gear: Gear, *, unit: str | None) -> str:
    """Return the average of a gear over one turn, and its difference signal below, as an SVG element."""
    assert gear.average is not None
    assert gear.parts is not None
    what = say("gears.axis_average")
    with curves.style(what):
        figure, axes = curves.axes_of(2)
        panels = ((gear.average.mean, "gears.average"), (gear.parts.difference, "gears.difference"))
        for ax, (row, name) in zip(axes, panels, strict=True):
            teeth = np.arange(row.size) / row.size * gear.teeth + 0.5  # tooth k is from k - 1/2 to k + 1/2
            line = curves.band(teeth, row, _POINTS)
            if line.low is None:
                ax.plot(line.x, line.y, color=curves.LINE, linewidth=0.7)
            else:
                ax.fill_between(line.x, line.low, line.y, facecolor=curves.LINE, edgecolor=curves.LINE, linewidth=0.5)
            ax.set_xlim(0.5, gear.teeth + 0.5)
            ax.set_xticks(_numbers(gear.teeth))
            ax.set_title(say(name), loc="left", fontsize=9)
            ax.set_ylabel(curves.unit_of(unit), parse_math=False)
            curves.number_axis(ax.yaxis)
        axes[-1].set_xlabel(say("gears.axis_tooth"))
        return curves.inline(figure, what)


def _numbers(teeth: int) -> list[int]:
    """The teeth whose number is written: all of a pinion, every fifth of a wheel, at most about thirty."""
    step = next(step for step in (1, 2, 5, 10, 20, 50) if teeth / step <= 30 or step == 50)
    return [1, *range(step, teeth + 1, step)] if step > 1 else list(range(1, teeth + 1))
