"""What people see of an evaluation: a table of 100 columns, and one page that needs nothing else.

Both are made from the evaluation's JSON. Promise: a share never stands without its count or its interval, and what
makes the numbers weak stands at the page's top, found by rule.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Tuple

from matplotlib.axes import Axes

from duck_protection.learning import card
from duck_protection.learning.records import LIMITS
from duck_protection.recording import pages
from duck_protection.recording.figures import FAINT, SIDES, bars, figure

KINDS = {"limit": "distance from a limit of the truth", "source": "source", "distance": "nearest duck in the way",
         "light": "light"}  # fmt: skip
COLUMNS = (("accuracy", "right"), ("stop_recall", "STOP seen"), ("stop_judged_clear", "as CLEAR"),
           ("danger_recall", "danger seen"), ("false_stop_frames", "false STOP"))  # fmt: skip
EYES = ("labels by eye tell a duck in the lane from none and no more. SLOW is as right as STOP for the one, and as "
        "CLEAR for the other; distances are projected, approximately.")  # fmt: skip
NAME, WIDTHS = 26, (16, 17, 10, 12, 12)  # columns of the terminal
CREEPING = 0.99  # clear_at
LEAST_CLEAR = 0.2  # of the frames without danger: a robot that is told CLEAR less often gets nowhere
FEW = 60  # frames that deserve STOP: fewer, and not even a clean record shows a miss rate below 5 %


def table(found: Mapping[str, Any]) -> str:
    """For the terminal: one line a set and part, then the free answers."""
    limits = ", ".join(f"{key} {found['thresholds'][key]}" for key in LIMITS)
    lines = [
        f"{found['model']} {found['revision']} {found['dtype']}, question {found['question']}",
        f"thresholds: {limits}",
        f"  {found['origin']}", "",
        f"{'':{NAME}}{'frames':>7}" + "".join(f"{head:>{width}}" for (_, head), width in zip(COLUMNS, WIDTHS)),
    ]  # fmt: skip
    for one in found["sets"]:
        lines.append(_line(one["name"], one))
        lines += [_line(f"  {name}", part) for name, part in _parts(one)]
    if found.get("answers"):
        lines += ["", f"{'free answers':36}{'right':>14}"]
        topics = found["answers"]["topics"]
        lines += [f"  {words:34}{_short(topics[key]):>14}" for key, words in card.TOPICS.items() if key in topics]
    return "\n".join(lines)


def _line(name: str, part: Mapping[str, Any]) -> str:
    counts = part["counts"]
    cells = [_short(counts["accuracy"]), _short(counts["stop_recall"]), _of(counts["stop_judged_clear"]),
             _of(counts["danger_recall"]), _of(counts["false_stop_frames"])]  # fmt: skip
    shown = "".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS))
    return f"{name if len(name) <= NAME else name[: NAME - 1] + '…':{NAME}}{part['n']:>7}{shown}"


def _short(count: Mapping[str, Any]) -> str:
    """ "98.5 (97-99)": per cent."""
    if not count["of"]:
        return "-"
    return f"{100 * count['value']:.1f} ({100 * count['low']:.0f}-{100 * count['high']:.0f})"


def _of(count: Mapping[str, Any]) -> str:
    return f"{count['hits']}/{count['of']}" if count["of"] else "-"


def _parts(one: Mapping[str, Any]) -> Iterator[Tuple[str, Mapping[str, Any]]]:
    for kind in KINDS:
        found = one["parts"].get(kind, {})
        if len(found) > 1:
            yield from found.items()


def page(found: Mapping[str, Any], sheets: Mapping[str, bytes]) -> str:
    """The HTML page.

    Args:
        sheets: JPEG of each set's worst mistakes, by the set's name.
    """
    context = {
        "found": found, "notes": notes(found), "columns": COLUMNS, "kinds": KINDS, "topics": card.TOPICS,
        "levels": ("CLEAR", "SLOW", "STOP"), "plots": {one["name"]: _plots(one) for one in found["sets"]},
        "sheets": {name: pages.jpeg_inside(jpeg) for name, jpeg in sheets.items()},
    }  # fmt: skip
    return pages.page(Path(__file__).with_name("evaluation.html"), context, {"share": card.share, "of": _of})


def notes(found: Mapping[str, Any]) -> List[str]:
    """What a reader must know before the numbers."""
    told = []
    for one in found["sets"]:
        stops = one["counts"]["stop_recall"]["of"]
        if stops < FEW:
            told.append(f"{one['name']} has only {stops} frames that deserve STOP: read the intervals.")
        if one["kind"] == "photographs":
            told.append(f"{one['name']}: {EYES}")
        safe, judged_clear = sum(one["confusion"][0]), one["confusion"][0][1]
        if safe and judged_clear < safe * LEAST_CLEAR:
            share = f"{judged_clear} of {safe} frames without danger are judged CLEAR"
            told.append(f"{one['name']}: only {share}. Dangers are seen because nearly everything is SLOW.")
    given_up = found["thresholds"].get("forgiven", 0.0)
    if given_up:
        told.append(f"The thresholds gave up {100 * given_up:g} % of the STOPs that they were chosen on.")
    if found["thresholds"]["clear_at"] > CREEPING:
        told.append("clear_at is so near 1 that hardly any frame is judged CLEAR: the robot creeps.")
    return told


def _plots(one: Mapping[str, Any]) -> Dict[str, str]:
    drawn, name = {}, one["name"]
    if one["calibration"]:
        words = f"Reliability of P(CLEAR) and P(STOP) on {name}"
        drawn["reliability"] = figure(words, lambda axes: _reliability(axes, one))
    parts = one["parts"].get("distance", {}).items()
    bands = {band: part["counts"] for band, part in parts if part["counts"]["danger_recall"]["of"]}
    if len(bands) > 1:
        words = f"Dangers and STOPs seen by distance on {name}"
        drawn["distance"] = figure(words, lambda axes: _distance(axes, bands))
    return drawn


def _reliability(axes: Axes, one: Mapping[str, Any]) -> None:
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1.5)
    for (level, told), (colour, line, marker) in zip(one["calibration"].items(), SIDES):
        said, so = [each["said"] for each in told["bins"]], [each["so"] for each in told["bins"]]
        sizes = [20 + 160 * each["n"] / one["n"] for each in told["bins"]]
        axes.plot(said, so, color=colour, linestyle=line, linewidth=1.2)
        axes.scatter(said, so, sizes, color=colour, marker=marker, label=f"P({level}), error {told['error']:.3f}")
    axes.set(xlabel="probability as the model says", ylabel="share that was so", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))


def _distance(axes: Axes, bands: Mapping[str, Mapping[str, Any]]) -> None:
    names, lowest = list(bands), 1.0
    for key, words, shift, (colour, line, marker) in (
        ("danger_recall", "judged SLOW or STOP, of SLOW and STOP", -0.08, SIDES[0]),
        ("stop_recall", "judged STOP, of STOP", 0.08, SIDES[1]),
    ):
        known = [(place, bands[name][key]) for place, name in enumerate(names) if bands[name][key]["of"]]
        counts = [count for _, count in known]
        lowest = min(lowest, *(count["low"] for count in counts))
        axes.errorbar([place + shift for place, _ in known], [count["value"] for count in counts], yerr=bars(counts),
                      color=colour, linestyle=line, marker=marker, capsize=3, label=words)  # fmt: skip
    axes.set_xticks(range(len(names)), [name.replace(" to ", "-").replace(" m", "") for name in names])
    axes.set(xlabel="nearest duck in the way, m", ylabel="share",
             ylim=(max(0.0, lowest - 0.05), 1.02))  # fmt: skip
