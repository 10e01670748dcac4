"""The campaign of short drives: the same everywhere, deadly without protection, harmless with perfect eyes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from duck_protection.episodes import CampaignError
from duck_protection.episodes import __main__ as campaign_command
from duck_protection.episodes.__main__ import main
from duck_protection.episodes.campaign import jobs_of, run_all, run_job, timing_of
from duck_protection.episodes.clips import clip
from duck_protection.episodes.drive import SLOW_MODEL, Drive, Outcome, Timing, _due, blind, perfect
from duck_protection.episodes.eyes import ModelEyes, Sight
from duck_protection.episodes.journal import Journal
from duck_protection.episodes.summary import DUCK_KINDS, Result, summary, table, worst
from duck_protection.frames import decode
from duck_protection.simulation.episode import Episode, Moment
from duck_protection.simulation.programme import Programme
from duck_protection.simulation.staging import KINDS, stage_named, stage_of
from duck_protection.verdict import Level

MODEL = str(Path(__file__).parents[2] / "models" / "duckling")
SHORT = Timing(seconds=1.0)


NOTHING = Outcome()


def result(kind: str, guarded: Outcome, unprotected: Outcome = NOTHING, ideal: Outcome = NOTHING) -> Result:
    return Result(1, kind, "bright", guarded, unprotected, ideal)


@pytest.mark.parametrize("kind", ["static", "curve"])
def test_a_duck_in_the_way_is_hit_by_who_does_not_look_and_spared_by_who_does(kind: str) -> None:
    stages = [stage_of(seed, kind) for seed in range(6)]
    assert sum(Drive(stage, blind, Timing()).run().hits for stage in stages) >= 5
    assert sum(Drive(stage, perfect, Timing()).run().hits for stage in stages) == 0
    assert sum(Drive(stage, perfect, SLOW_MODEL).run().hits for stage in stages) == 0


@pytest.mark.parametrize("kind", ["static", "curve"])
def test_never_saying_stop_is_no_way_to_spare_a_duck(kind: str) -> None:
    """A robot that crept at SLOW had not reached the duck when the drive's eight seconds were over."""

    def hopeful(episode: Episode, moment: Moment) -> Level:
        return min(Level.SLOW, perfect(episode, moment))

    outcomes = [Drive(stage_of(seed, kind), hopeful, Timing()).run() for seed in range(4)]
    assert sum(one.hits for one in outcomes) >= 3 and all(one.stop_frames for one in outcomes)
    assert all(Drive(stage_of(seed, kind), perfect, Timing()).run().stop_frames for seed in range(4))


@pytest.mark.parametrize("model_s", [0.05, 0.16, 0.3, 0.4, 0.5])
def test_a_model_of_any_time_that_is_taken_drives(model_s: float) -> None:
    assert Drive(stage_of(3, "none"), blind, timing_of(model_s)).run().travelled_m > 0.3


def test_crossing_ducks_are_dangerous_and_perfect_eyes_run_none_over() -> None:
    stages = [stage_of(seed, "crossing") for seed in range(8)]
    assert sum(Drive(stage, blind, Timing()).run().hits for stage in stages) >= 2
    assert sum(Drive(stage, perfect, Timing()).run().hits for stage in stages) == 0


def test_without_a_duck_perfect_eyes_lose_no_time() -> None:
    for kind in ("beside", "none"):
        free, careful = (Drive(stage_of(3, kind), eyes, Timing()).run() for eyes in (blind, perfect))
        assert careful.travelled_m == free.travelled_m > 1.0
        assert (careful.hits, careful.false_stops) == (0, 0)


def test_a_stage_depends_on_kind_and_seed_alone_and_its_name_says_both() -> None:
    assert stage_of(7, "crossing") == stage_named("crossing:7") != stage_of(8, "crossing")
    for wrong in ("crossing", "parade:3", "static:x"):
        with pytest.raises(ValueError, match=r"static|parade"):
            stage_named(wrong)


@pytest.mark.parametrize("seed", [16000406, 16000596, 19000441])
def test_a_town_without_a_place_for_the_duck_gives_way_to_another(seed: int) -> None:
    """The first towns of these seeds have no straight that is long enough; a campaign ended at such a one."""
    stage = stage_of(seed, "crossing")
    assert stage.duck is not None
    assert stage_of(seed, "crossing") == stage


def test_a_slow_model_sees_fewer_frames_and_drives_slower() -> None:
    stage = stage_of(2, "none")
    quick, slow = (Drive(stage, perfect, timing_of(model_s)).run() for model_s in (0.02, 0.30))
    assert slow.judged < quick.judged / 2.5
    assert slow.travelled_m < 0.7 * quick.travelled_m


@pytest.mark.parametrize("hz", [5.0, 15.0, 20.0, 60.0])
def test_the_camera_takes_as_many_pictures_as_it_says(hz: float) -> None:
    taken = [step for step in range(1000) if _due(step, 1 / hz)]  # ten seconds
    assert len(taken) == 10 * hz and taken[0] == 0
    assert max(np.diff(taken)) - min(np.diff(taken)) <= 1


def test_eyes_that_fall_asleep_stop_the_robot() -> None:
    """Frames that are never answered: the same watch and governor as in the nodes."""
    drive = Drive(stage_of(2, "none"), perfect, replace(Timing(), model_s=3.0))
    assert drive.run().travelled_m == 0


def test_the_model_drives_and_the_same_stage_is_the_same_drive() -> None:
    stage = stage_of(2, "static")
    first, second = (Drive(stage, ModelEyes(stage, MODEL), SHORT).run() for _ in range(2))
    assert first == second
    assert first.judged >= SHORT.seconds * SHORT.camera_hz


def test_a_job_drives_one_stage_three_times() -> None:
    job = jobs_of(3, 5, MODEL, SHORT)[1]
    assert job[:2] == (5_000_001, KINDS[1])
    done = run_job(job)
    assert (done.seed, done.kind) == job[:2]
    assert done.ideal.travelled_m <= done.unprotected.travelled_m


def test_two_workers_drive_what_one_drives() -> None:
    jobs = jobs_of(2, 5, MODEL, replace(SHORT, seconds=0.5))
    assert run_all(jobs, 2) == [run_job(job) for job in jobs]


def test_a_killed_campaign_goes_on_where_its_journal_ends(tmp_path: Path) -> None:
    jobs, plan = jobs_of(3, 5, MODEL, replace(SHORT, seconds=0.5)), {"seed": 5}
    whole = run_all(jobs, 2, Journal(tmp_path / "whole.jsonl", plan, resume=False))
    lines = (tmp_path / "whole.jsonl").read_text().splitlines(keepends=True)
    killed = tmp_path / "killed.jsonl"
    killed.write_text("".join(lines[:2]) + lines[2][:40])  # the plan, one drive, and one that was being written
    journal = Journal(killed, plan, resume=True)
    assert journal.results == whole[:1]
    assert run_all(jobs, 2, journal) == whole
    assert killed.read_text() == (tmp_path / "whole.jsonl").read_text()
    anew = Journal(killed, plan, resume=False)
    assert anew.results == [] and len(killed.read_text().splitlines()) == 4  # nothing is lost before a drive is done
    anew.add(whole[0])
    assert len(killed.read_text().splitlines()) == 2
    assert len((tmp_path / "killed.jsonl.before").read_text().splitlines()) == 4


def test_a_journal_of_another_campaign_or_of_nothing_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "drives.jsonl"
    Journal(file, {"seed": 5, "weights": "a"}, resume=False).add(result("none", NOTHING))
    with pytest.raises(CampaignError, match=r"another campaign \(other weights\)"):
        Journal(file, {"seed": 5, "weights": "b"}, resume=True)
    for strange in ("", "7\n", "no JSON\n", json.dumps({"seed": 5, "weights": "a"}) + '\n{"kind": "none"}\n'):
        file.write_text(strange)
        with pytest.raises(CampaignError, match="not the journal"):
            Journal(file, {"seed": 5, "weights": "a"}, resume=True)


def test_a_campaign_without_a_model_says_so_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--n", "1", "--model", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("episodes: ") and said.count("\n") == 1


def test_a_campaign_in_which_the_robot_stands_proves_nothing_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drives = [result("none", Outcome(travelled_m=0.1), ideal=Outcome(travelled_m=1.0))]
    monkeypatch.setattr(campaign_command, "run_all", lambda *_: drives)
    monkeypatch.setattr(campaign_command, "film", lambda *_: [])
    asked = ["--n", "1", "--out", str(tmp_path / "out"), "--json", str(tmp_path / "json")]
    assert main(asked) == 1 and "this proves nothing" in capsys.readouterr().out
    drives[0].guarded.travelled_m = 0.9
    assert main(asked) == 0

    def breaks(*_: object) -> None:
        raise RuntimeError("a worker died")

    monkeypatch.setattr(campaign_command, "film", breaks)
    (tmp_path / "json").unlink()
    assert main(asked) == 0  # 1 would say that a duck was hit
    assert (tmp_path / "json").exists() and "no films: a worker died" in capsys.readouterr().err
    monkeypatch.setattr(campaign_command, "run_all", breaks)
    assert main(asked) == 2


def test_figures_count_avoidable_and_unavoidable_hits_apart() -> None:
    hit = Outcome(hits=1, closest_m=0.01)
    results = [
        result("static", hit, unprotected=hit),
        result("crossing", hit, unprotected=hit, ideal=hit),
        result("curve", Outcome(flank_hits=1), ),
        result("none", Outcome(travelled_m=0.9, false_stops=2), ideal=Outcome(travelled_m=1.0)),
        result("beside", Outcome(travelled_m=1.0), ideal=Outcome(travelled_m=1.0)),
    ]
    numbers = summary(results)
    assert (numbers["episodes"], numbers["duck_drives"]) == (5, len(DUCK_KINDS))
    assert (numbers["hits"], numbers["unavoidable"], numbers["flank_hits"]) == (1, 1, 1)
    assert numbers["hits_unprotected"] == pytest.approx(2 / 3)
    assert numbers["false_stop_drives"] == pytest.approx(1 / 2)
    assert numbers["time_lost"] == pytest.approx(0.05)
    assert [one.kind for one in worst(results, 3)] == ["static", "curve", "none"]
    assert max(map(len, table(numbers).splitlines())) <= 100


def test_a_campaign_of_free_drives_has_a_table_too() -> None:
    numbers = summary([result("none", Outcome(travelled_m=1.0), ideal=Outcome(travelled_m=1.0))])
    assert "avoidable hits: 0 in 1 drives" in table(numbers)


def test_a_clip_is_a_film_of_the_judged_frames(tmp_path: Path) -> None:
    clip(stage_of(2, "static"), MODEL, SHORT, tmp_path / "worst.mp4")
    with av.open(str(tmp_path / "worst.mp4")) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(frames) >= SHORT.seconds * SHORT.camera_hz
    assert frames[0].shape == (480, 640, 3)
    assert np.ptp(frames[0]) > 100


def test_blurred_pictures_are_less_sharp_than_bright_ones() -> None:
    def sharpness(blurred: bool) -> float:
        stage = replace(stage_of(2, "none"), light="blurred" if blurred else "bright")
        sights: list[Sight] = []
        Drive(stage, ModelEyes(stage, MODEL, sights), replace(SHORT, seconds=0.3)).run()
        return float(np.mean([cv2.Laplacian(decode(sight.jpeg), cv2.CV_32F).std() for sight in sights]))

    assert sharpness(True) < 0.9 * sharpness(False)


def test_a_programme_waits_for_the_first_command_then_plays_its_stages_and_adds_them_up() -> None:
    stages = [stage_of(4, "none"), stage_of(2, "static")]
    programme = Programme(stages, seconds=1.0)
    for _ in range(100):
        programme.step(0.02)
    assert programme.photograph()[1].travelled_m == 0
    seen: list[float] = []
    for _ in range(400):
        programme.command(0.19, 0.0)
        programme.step(0.02)
        seen.append(programme.truth().travelled_m)
    assert seen == sorted(seen)
    jpeg, truth = programme.photograph()
    assert jpeg[:2] == b"\xff\xd8"
    assert truth.travelled_m > 1.0


def test_a_stage_that_has_ended_counts_once_in_whatever_is_seen_around_the_change() -> None:
    programme = Programme([stage_of(1, "static"), stage_of(2, "static"), stage_of(4, "none")], seconds=1.0)
    met = [programme.truth().ducks_met]
    for _ in range(200):
        programme.command(0.05, 0.0)
        programme.step(0.02)
        met.append(programme.truth().ducks_met)
    assert (met[0], met[-1]) == (0, 2)
    assert met == sorted(met)
