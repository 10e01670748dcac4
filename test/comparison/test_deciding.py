"""Decisions: migrate, stay or not yet, from known numbers; and what is missing is never assumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Mapping, Optional

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from duck_protection.comparison.deciding import MIGRATE, NOT_YET, STAY, Decision, decide
from duck_protection.comparison.evidence import Evidence, evidence
from duck_protection.comparison.framework import framework_from
from duck_protection.recording.intervals import Interval
from duck_protection.settings import SettingsError

CONFIG = Path(__file__).parents[2] / "config" / "decision.yaml"
CONTENT = {
    "robot": {"speed_mps": 0.2, "blind_m": 0.08, "stop_m": 0.45, "roll_out_m": 0.05, "camera_latency_s": 0.03,
              "frame_s": 0.034, "pipeline_s": 0.006, "robots": 4},
    "limits": [{"measure": "verdict_p95_ms", "at_most": "need", "why": "late"},
               {"measure": "stop_recall", "at_least": 0.95, "why": "ducks"}],
    "criteria": [{"measure": "verdict_p95_ms", "weight": 1, "worst": 200, "best": 0, "why": "young"},
                 {"measure": "accuracy", "weight": 3, "worst": 0.0, "best": 1.0, "why": "right"}],
    "margin": 0.05, "upkeep": {"a_h_month": None, "b_h_month": None},
}  # fmt: skip
FRAME = framework_from(CONTENT)
GOOD = {"verdict_p95_ms": 100.0, "stop_recall": 0.99, "accuracy": 0.8}


def known(a: Mapping[str, Any], b: Mapping[str, Any], draws: frozenset = frozenset()) -> Evidence:
    values = {(side, name): one if isinstance(one, Interval) else Interval(one, one, one)
              for side, told in (("a", a), ("b", b)) for name, one in told.items()}  # fmt: skip
    missing = {(side, name): "not measured" for side in "ab" for name in GOOD if (side, name) not in values}
    return Evidence(("old", "new"), values, draws, missing)


def answer(a: Mapping[str, Any], b: Mapping[str, Any], **more: Any) -> Decision:
    return decide(known({**GOOD, **a}, {**GOOD, **b}, **more), FRAME)


def test_the_latency_limit_follows_from_speed_and_distance() -> None:
    """0.08 m at 0.2 m/s are 0.4 s; less 0.07 s of camera, frame and nodes; half of it, for two verdicts."""
    assert FRAME.robot.need_ms == pytest.approx(165)
    assert FRAME.robot.speed_for(165) == pytest.approx(0.2)
    assert FRAME.robot.speed_for(330) < 0.12


def test_the_shipped_framework_loads_and_asks_for_what_the_governor_can_use() -> None:
    frame = framework_from(yaml.safe_load(CONFIG.read_text()))
    assert 150 < frame.robot.need_ms < 200
    assert sum(one.weight for one in frame.criteria) == pytest.approx(1)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ({}, {"accuracy": 0.9}, MIGRATE),  # 0.75 of 0.1
        ({}, {"accuracy": 0.86}, STAY),  # 0.045 is not worth it
        ({}, {}, STAY),
        ({}, {"accuracy": 0.9, "verdict_p95_ms": 170.0}, STAY),  # breaks the limit
        ({}, {"accuracy": 0.9, "verdict_p95_ms": Interval(160.0, 150.0, 170.0)}, NOT_YET),  # is not sure to keep it
        ({"verdict_p95_ms": 170.0}, {}, MIGRATE),  # what is in use breaks one
        ({"verdict_p95_ms": 170.0}, {"stop_recall": 0.9}, NOT_YET),  # neither
    ],
)
def test_answers(a: Dict[str, Any], b: Dict[str, Any], expected: str) -> None:
    assert answer(a, b).answer == expected


def test_a_share_without_an_interval_keeps_no_limit_and_breaks_none() -> None:
    """29 of 30 STOPs in one place once kept "at least 95 %" for certain."""
    for recall in (0.967, 0.5):
        got = answer({}, {"accuracy": 1.0, "stop_recall": Interval(recall)})
        assert [one.state for one in got.limits if one.side == "b"] == ["kept", "open"]
        assert got.answer == NOT_YET and got.reasons[0].endswith("%: measure more frames of more places")


def test_a_time_that_was_taken_once_needs_no_interval() -> None:
    assert answer({}, {"verdict_p95_ms": Interval(100.0), "accuracy": 1.0}).answer == MIGRATE


def test_a_difference_inside_the_noise_is_worth_nothing() -> None:
    assert answer({}, {"accuracy": 0.9}, draws=frozenset(["accuracy"])).answer == STAY


@pytest.mark.parametrize("measure", ["verdict_p95_ms", "stop_recall"])
def test_a_limit_that_nobody_measured_is_not_kept(measure: str) -> None:
    told = {**GOOD, "accuracy": 1.0}
    del told[measure]
    got = decide(known(GOOD, told), FRAME)
    assert got.answer == NOT_YET
    assert any("not measured" in reason for reason in got.reasons)
    assert list(got.missing.values()) == ["not measured"]


def test_what_is_missing_decides_only_where_it_can() -> None:
    accuracy = {"verdict_p95_ms": 100.0, "stop_recall": 0.99}
    assert decide(known(GOOD, accuracy), FRAME).answer == NOT_YET  # worth between -0.6 and +0.15
    without = {name: value for name, value in GOOD.items() if name != "accuracy"}
    broken = {**without, "verdict_p95_ms": 500.0}
    assert decide(known(GOOD, broken), FRAME).answer == STAY  # no accuracy would save it


def test_a_reason_has_its_numbers_and_a_way_out() -> None:
    got = answer({}, {"verdict_p95_ms": Interval(300.0, 290.0, 310.0)})
    assert got.reasons == ('new breaks "verdict, p95: at most 165 ms" with 300 ms (290 to 310): late',)
    assert 'new keeps "verdict, p95: at most 165 ms" for certain; now 300 ms (290 to 310)' in got.changes
    assert any("at 0.12 m/s instead of 0.2" in change for change in got.changes)


def test_it_says_at_which_value_the_answer_turns() -> None:
    got = answer({}, {})
    turning = next(change for change in got.changes if change.startswith("right, likeliest level of B at"))
    assert turning == "right, likeliest level of B at 86.7 %: migrate, all else equal"
    assert answer({}, {"accuracy": 0.866}).answer == STAY
    assert answer({}, {"accuracy": 0.867}).answer == MIGRATE


values = st.one_of(st.none(), st.floats(0, 400), st.tuples(st.floats(0, 400), st.floats(0, 100)))


@settings(max_examples=300, deadline=None)
@given(st.tuples(values, values), st.tuples(values, values), st.tuples(values, values))
def test_migrate_is_never_said_of_a_candidate_with_an_open_limit(late: tuple, recall: tuple, right: tuple) -> None:
    sides: list = [{}, {}]
    for name, pair, scale in zip(("verdict_p95_ms", "stop_recall", "accuracy"), (late, recall, right), (1, 400, 400)):
        for side, told in zip(sides, pair):
            one = _interval(told, scale)
            if one is not None:
                side[name] = one
    got = decide(known(*sides), FRAME)
    states = [one.state for one in got.limits if one.side == "b"]
    assert got.answer != MIGRATE or states == ["kept", "kept"]
    assert got.answer != STAY or "broken" in states or states == ["kept", "kept"]


def _interval(told: Any, scale: float) -> Optional[Interval]:
    if told is None:
        return None
    if isinstance(told, tuple):
        middle, half = told
        return Interval(middle / scale, (middle - half) / scale, (middle + half) / scale)
    return Interval(told / scale)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"margin": 0}, "margin must be in"),
        ({"limits": [{"measure": "charm", "at_least": 1, "why": ""}]}, "unknown measure 'charm'"),
        ({"limits": [{"measure": "start_s", "why": ""}]}, "either at_most or at_least"),
        ({"criteria": [{"measure": "start_s", "weight": 1, "worst": 5, "best": 5, "why": ""}]}, "are both 5"),
        ({"robot": {**CONTENT["robot"], "speed_mps": 2.0}}, "no verdict is fast enough"),
    ],
)  # fmt: skip
def test_a_framework_that_cannot_be_used_is_refused(change: dict, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        framework_from({**CONTENT, **change})


SIDE = {"name": "x", "where": "x", "model": "x", "revision": "1", "dtype": "none", "start_s": None, "start_why": "",
        "resident_mib": None, "card_mib": None, "why": "", "better_than_chance": True}  # fmt: skip


def told(value: Optional[float], low: Optional[float] = None, high: Optional[float] = None) -> Dict[str, Any]:
    return {"value": value, "low": low, "high": high}


def read(a: Dict[str, Any], b: Dict[str, Any], winner: str = "unknown") -> Evidence:
    """Evidence of one benchmarked share, and of the same numbers as accuracy of one question."""
    sides = [{**SIDE, "name": name, "where": name} for name in ("one", "two")]
    answered = {"name": "answered", "a": a, "b": b, "winner": winner}
    nothing = {name: told(None) for name in ("stop_recall", "stop_judged_clear", "false_stops")}
    known = (("one", a), ("two", b))
    rows = [{**nothing, "contender": name, "question": "road@1", "accuracy": one} for name, one in known]
    return evidence(
        {"sides": sides, "measures": [answered], "crowds": [], "question": "road@1"},
        {"contenders": sides, "rows": rows}, FRAME,
    )  # fmt: skip


def test_two_shares_that_nobody_is_sure_of_are_a_draw() -> None:
    assert read(told(0.80), told(0.81)).draws == {"answered", "accuracy"}
    assert read(told(0.80), told(0.90, 0.88, 0.92)).draws == {"answered", "accuracy"}


@pytest.mark.parametrize(("low", "draws"), [(0.79, {"accuracy"}), (0.81, set())])
def test_two_shares_with_intervals_are_a_draw_where_these_meet(low: float, draws: set) -> None:
    assert read(told(0.78, 0.76, 0.80), told(0.83, low, 0.85), "b").draws == draws


@pytest.mark.parametrize("pair", [(None, 0.9), (0.9, None), (None, None)])
def test_what_is_missing_is_no_draw_for_it_may_be_worth_anything(pair: tuple) -> None:
    assert not read(*(told(one) for one in pair)).draws


def test_without_any_file_everything_is_missing_and_the_commands_are_named() -> None:
    got = decide(evidence(None, None, FRAME), FRAME)
    assert got.answer == NOT_YET
    assert set(got.missing.values()) == {"not measured: ./run compare bench", "not measured: ./run compare prompts"}
