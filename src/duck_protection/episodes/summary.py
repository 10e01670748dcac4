"""The figures of a campaign of drives, as numbers and as a table for people.

Answers: how many hits, were they avoidable, what did caution cost? A hit is a touch by the front bumper of the moving
robot; a touch behind it, or by a duck that walks against a standing robot, is a flank hit; a hit in a stage where
perfect eyes hit as well is unavoidable. Promise: every drive is counted in exactly one kind and one light.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Sequence

from duck_protection.episodes.drive import Outcome

DUCK_KINDS = ("static", "crossing", "curve")  # a duck comes into the way
FREE_KINDS = ("beside", "none")  # no duck within 0.24 m of the path


@dataclass(frozen=True)
class Result:
    """The same stage driven three times: by the model's verdicts, by nobody's, and by the truth."""

    seed: int
    kind: str
    light: str
    guarded: Outcome
    unprotected: Outcome
    ideal: Outcome

    @property
    def avoidable(self) -> bool:
        """Whether a duck was run over that perfect eyes would have spared."""
        return bool(self.guarded.hits and not self.ideal.hits)

    @property
    def lost_m(self) -> float:
        """How much farther perfect eyes came."""
        return self.ideal.travelled_m - self.guarded.travelled_m


def summary(results: Sequence[Result]) -> Dict[str, Any]:
    """The figures of a campaign; fractions are between 0 and 1, null where there is nothing to divide by."""
    ducks = [one for one in results if one.kind in DUCK_KINDS]
    free = [one for one in results if one.kind in FREE_KINDS]
    return {
        "episodes": len(results),
        "duck_drives": len(ducks),
        "stop_drives": sum(bool(one.guarded.stop_frames) for one in ducks),
        "hits": sum(one.avoidable for one in results),
        "flank_hits": sum(one.guarded.flank_hits for one in results),
        "unavoidable": sum(bool(one.guarded.hits and one.ideal.hits) for one in results),
        "hits_unprotected": _share(sum(bool(one.unprotected.hits) for one in ducks), len(ducks)),
        "false_stop_drives": _share(sum(bool(one.guarded.false_stops) for one in free), len(free)),
        "time_lost": _share(sum(one.lost_m for one in free), sum(one.ideal.travelled_m for one in free)),
        "kinds": _by(results, lambda one: one.kind),
        "lights": _by(results, lambda one: one.light),
    }


def worst(results: Sequence[Result], most: int) -> List[Result]:
    """The drives that people should look at: hits first, then flank hits, then false stops and time lost."""
    ranked = sorted(results, key=_badness, reverse=True)
    return [one for one in ranked[:most] if _badness(one) > 0]


def table(numbers: Dict[str, Any]) -> str:
    """The campaign, for people, at most 100 columns."""
    head = f"{'':<10}{'drives':>7}{'hit':>5}{'flank':>7}{'hit unprotected':>17}{'closest':>9}{'false stop':>12}"
    rows = [head + f"{'metres':>9}{'of ideal':>10}"]
    rows += [_row(name, one) for name, one in numbers["kinds"].items()] + [""]
    rows += [_row(name, one) for name, one in numbers["lights"].items()] + [""]
    rows.append(
        f"avoidable hits: {numbers['hits']} in {numbers['episodes']} drives; unavoidable {numbers['unavoidable']}, "
        f"flank {numbers['flank_hits']}"
    )
    rows.append(
        f"duck drives: {numbers['duck_drives']}, in {numbers['stop_drives']} of them STOP was due or said; "
        f"without protection {_percent(numbers['hits_unprotected'])} hit"
    )
    rows.append(
        f"drives without a duck near the path: a false stop in {_percent(numbers['false_stop_drives'])}, "
        f"time lost {_percent(numbers['time_lost'])}"
    )
    return "\n".join(rows)


def _by(results: Sequence[Result], key: Callable[[Result], str]) -> Dict[str, Any]:
    names = sorted({key(one) for one in results})
    return {name: _part([one for one in results if key(one) == name]) for name in names}


def _part(results: Sequence[Result]) -> Dict[str, Any]:
    guarded = [one.guarded for one in results]
    return {
        "drives": len(results),
        "hits": sum(one.avoidable for one in results),
        "hits_unprotected": sum(bool(one.unprotected.hits) for one in results),
        "hits_ideal": sum(bool(one.ideal.hits) for one in results),
        "flank_hits": sum(one.flank_hits for one in guarded),
        "flank_hits_ideal": sum(one.ideal.flank_hits for one in results),
        "closest_m": min((one.closest_m for one in guarded), default=float("inf")),
        "false_stop_drives": sum(bool(one.false_stops) for one in guarded),
        "stop_judged_clear": sum(one.stop_judged_clear for one in guarded),
        "frames_judged": sum(one.judged for one in guarded),
        "metres": sum(one.travelled_m for one in guarded),
        "metres_ideal": sum(one.ideal.travelled_m for one in results),
    }


def _row(name: str, one: Dict[str, Any]) -> str:
    closest = f"{one['closest_m']:.2f} m" if one["closest_m"] < 9 else "-"
    return (
        f"{name:<10}{one['drives']:>7}{one['hits']:>5}{one['flank_hits']:>7}{one['hits_unprotected']:>17}{closest:>9}"
        f"{one['false_stop_drives']:>12}{one['metres']:>9.1f}{_percent(_share(one['metres'], one['metres_ideal'])):>10}"
    )


def _badness(one: Result) -> float:
    free = one.kind in FREE_KINDS
    return 1000 * one.avoidable + 100 * one.guarded.flank_hits + (one.guarded.false_stops + one.lost_m) * free


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _percent(share: float) -> str:
    return f"{share:.1%}" if share == share else "-"
