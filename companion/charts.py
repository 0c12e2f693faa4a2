"""Bars from zero as geometry, for pages that draw them as SVG (templates/components/chart.html). Pure."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

# In units of the chart; its width on the page is the stylesheet's.
WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM, TOP = 400, 190, 32, 16, 24, 10
_ABOVE: Final = 10  # more room at the top where figures stand on the bars
_STEPS: Final = (10, 20, 30, 60, 120, 180, 240, 360, 600, 1200)  # minutes between two lines


def bars(
    values: Sequence[tuple[dt.date, int]], limit: int | None = None, *, every: int = 1, figures: bool = False
) -> dict[str, Any]:
    """One bar for each date. The axis begins at zero and holds the limit as well as the longest bar.

    `every`: how many bars lie between two dates below the axis, counted from the newest. `figures`: numbers on the bars.
    """
    most = max([*(value for _date, value in values), limit or 0, 30])
    step = next((each for each in _STEPS if most / each <= 5), _STEPS[-1])
    top = -(-most // step) * step
    ceiling = TOP + (_ABOVE if figures else 0)
    scale = (HEIGHT - BOTTOM - ceiling) / top
    slot = (WIDTH - LEFT - RIGHT) / len(values)
    floor = HEIGHT - BOTTOM

    def height(minutes: int) -> float:
        return round(minutes * scale, 1)

    return {
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "floor": floor,
        "figures": figures,
        "bars": [
            {
                "x": round(LEFT + index * slot + slot * 0.15, 1),
                "y": round(floor - height(value), 1),
                "width": round(slot * 0.7, 1),
                "height": height(value),
                "middle": round(LEFT + (index + 0.5) * slot, 1),
                "above": round(floor - height(value) - 5, 1),
                "value": value,
            }
            for index, (_date, value) in enumerate(values)
        ],
        "lines": [(round(floor - height(minutes), 1), minutes) for minutes in range(0, top + 1, step)],
        "marks": [
            (round(LEFT + (index + 0.5) * slot, 1), date)
            for index, (date, _value) in enumerate(values)
            if (len(values) - 1 - index) % every == 0
        ],
        "limit": None if limit is None else round(floor - height(limit), 1),
    }
