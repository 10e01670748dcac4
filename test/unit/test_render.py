"""The rendered data set: the same for any number of workers, resumable, and labelled by corridor.true_level."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import List

import numpy as np
import pytest
from PIL import Image

from duck_protection.corridor import DEFAULT, TOUCHING_M
from duck_protection.learning.dataset import picture
from duck_protection.learning.placing import DASHES, EDGES, EVEN, PLAIN, YELLOW, Crowding, choose_placement
from duck_protection.learning.render import (
    COUNTED_SHARE,
    LOOK_FRAMES,
    MIX,
    MIXED,
    SCENES,
    main,
    render,
    render_look,
)
from duck_protection.simulation.camera import COUNTED_PX, project
from duck_protection.simulation.town import BUMPER_M, TILE_M, Pose, random_town
from duck_protection.verdict import Level

N = LOOK_FRAMES + 4  # a whole look and a part of one


@pytest.fixture(scope="module")
def one_worker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("one") / "heldout"
    render(out, N, seed=5, workers=1, split="heldout")
    return out


def labels(out: Path) -> List[dict]:
    return [json.loads(line) for line in (out / "labels.jsonl").read_text().splitlines()]


def test_two_workers_render_the_same_bytes_as_one(one_worker: Path, tmp_path: Path) -> None:
    render(tmp_path, N, seed=5, workers=2, split="heldout")
    assert labels(tmp_path) == labels(one_worker)
    for label in labels(one_worker):
        assert (tmp_path / label["file"]).read_bytes() == (one_worker / label["file"]).read_bytes()


def test_an_interrupted_run_goes_on_where_it_ended(one_worker: Path, tmp_path: Path) -> None:
    shutil.copytree(one_worker, tmp_path, dirs_exist_ok=True)
    whole = (tmp_path / "labels.jsonl").read_text()
    torn = "".join(whole.splitlines(keepends=True)[: LOOK_FRAMES + 2]) + '{"file": "fra'
    (tmp_path / "labels.jsonl").write_text(torn)
    render(tmp_path, N, seed=5, workers=1, split="heldout")
    assert (tmp_path / "labels.jsonl").read_text() == whole


@pytest.mark.parametrize(
    "changed", [["--seed", "6"], ["--scenes", "even"], ["--town", "ring"], ["--assets", "photos"]], ids=lambda it: it[0]
)
def test_a_set_is_not_gone_on_with_as_another_one(
    one_worker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    changed: List[str],
) -> None:  # fmt: skip
    """The looks of a second command were appended to those of the first, and nobody was told."""
    monkeypatch.setattr("duck_protection.learning.render.assets_named", lambda _: None)  # they need not be here
    shutil.copytree(one_worker, tmp_path, dirs_exist_ok=True)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*.*")}
    command = ["--out", str(tmp_path), "--n", "40", "--workers", "1", "--seed", "5", "--scenes", "hard", *changed]
    assert main(command) == 1
    error = capsys.readouterr().err
    assert error.startswith("render: ") and f"(other {changed[0][2:]})" in error and error.count("\n") == 1
    assert {file: file.read_bytes() for file in tmp_path.rglob("*.*")} == before


def test_a_set_from_before_plans_were_kept_may_be_gone_on_with(one_worker: Path, tmp_path: Path) -> None:
    shutil.copytree(one_worker, tmp_path, dirs_exist_ok=True)
    (tmp_path / "plan.json").unlink()
    command = ["--out", str(tmp_path), "--n", str(N), "--workers", "1", "--seed", "5", "--scenes", "hard"]
    assert main([*command, "--split", "heldout"]) == 0
    assert labels(tmp_path) == labels(one_worker)
    assert not (tmp_path / "plan.json").exists()  # what the older frames were made with is not known


def test_no_two_frames_are_identical(one_worker: Path) -> None:
    assert len({(one_worker / label["file"]).read_bytes() for label in labels(one_worker)}) == N


def test_frames_are_as_the_camera_sends_them_and_as_wide_as_the_model_wants(one_worker: Path) -> None:
    file = one_worker / labels(one_worker)[3]["file"]
    with Image.open(file) as image:
        assert image.size == (640, 480)
        assert np.array_equal(picture(file, 512), np.asarray(image.resize((512, 384), Image.Resampling.BICUBIC)))


def test_a_label_is_what_its_ducks_deserve(one_worker: Path) -> None:
    for label in labels(one_worker):
        ducks = [(duck["along_m"], abs(duck["offset_m"])) for duck in label["ducks"]]
        ahead = [(along, offset) for along, offset in ducks if along >= TOUCHING_M]
        inside = [along for along, offset in ahead if offset <= DEFAULT.half_width_m]
        beside = [along for along, offset in ahead if offset <= DEFAULT.beside_m]
        wanted = Level.CLEAR
        if any(along < DEFAULT.slow_m for along in inside) or any(along < DEFAULT.beside_slow_m for along in beside):
            wanted = Level.SLOW
        if any(along < DEFAULT.stop_m for along in inside):
            wanted = Level.STOP
        assert label["level"] == wanted.name
        assert label["split"] == "heldout"


def test_boxes_lie_in_the_picture_and_hold_their_pixels(one_worker: Path) -> None:
    for label in labels(one_worker):
        for duck in label["ducks"]:
            x0, y0, x1, y1 = duck["box"]
            assert 0 <= x0 < x1 <= 640
            assert 0 <= y0 < y1 <= 480
            assert COUNTED_PX <= duck["pixels"] <= (x1 - x0) * (y1 - y0)


def test_ducks_that_count_are_seen_by_a_tenth_and_glimpses_by_less(tmp_path: Path) -> None:
    render(tmp_path, LOOK_FRAMES * 6, seed=5, workers=1, split="edges", scenes="edges")
    found = labels(tmp_path)
    ducks, glimpses = ([duck for label in found for duck in label[key]] for key in ("ducks", "glimpses"))
    assert min(duck["share"] for duck in ducks) >= COUNTED_SHARE
    assert glimpses and max(duck["share"] for duck in glimpses) < COUNTED_SHARE
    whole = [duck["share"] for duck in ducks if 200 < sum(duck["box"][::2]) / 2 < 440 and duck["forward_m"] > 0.15]
    assert 0.7 < np.median(whole) < 1.2  # a duck that nothing hides


def test_even_frames_have_their_nearest_duck_at_any_distance_alike(tmp_path: Path) -> None:
    path, rng = random_town(3).path(), np.random.default_rng(1)
    kinds = [choose_placement(path, 32, rng, EVEN).kind for _ in range(300)]
    assert kinds.count("none") == pytest.approx(100, abs=30) and set(kinds) == {"none", "even"}
    render(tmp_path, LOOK_FRAMES * 2, seed=5, workers=1, split="even", scenes="even")
    near = [min(duck["along_m"] for duck in label["ducks"] if abs(duck["offset_m"]) < 0.13)
            for label in labels(tmp_path) if label["kind"] == "even" and label["level"] != "CLEAR"]  # fmt: skip
    assert near and min(near) > 0.1 and np.ptp(near) > 0.3


def test_a_mixed_set_has_looks_of_every_kind_as_that_kind_has_them() -> None:
    assert sum(MIX.values()) == pytest.approx(1) and set(MIX) == set(SCENES)
    drawn = [str(np.random.default_rng([31, look]).choice(list(MIX), p=list(MIX.values()))) for look in range(300)]
    assert all(drawn.count(kind) / 300 == pytest.approx(share, abs=0.08) for kind, share in MIX.items())
    (_, label), *_ = render_look(31, drawn.index("crossings"), range(1), "mixed", MIXED)
    assert label["map"].startswith("crossings:")


def test_near_frames_have_a_duck_in_the_way_and_near() -> None:
    frames = [label for look in range(2) for _, label in render_look(5, look, range(LOOK_FRAMES), "near", "near")]
    assert np.mean([label["level"] == "STOP" for label in frames]) > 0.8


def test_dashes_are_frames_in_which_the_yellow_line_just_reaches_into_the_picture_or_half_a_duck_does(
    tmp_path: Path,
) -> None:
    def columns(crowding: Crowding) -> List[int]:
        """The rightmost column of the near yellow line, in each frame without a duck that matters."""
        path, rng, found = random_town(3).path(), np.random.default_rng(1), []
        for placement in (choose_placement(path, 32, rng, crowding) for _ in range(60)):
            robot, bumper = placement.robot, placement.robot.ahead(BUMPER_M)
            begin = path.nearest((bumper.x_m, bumper.y_m))
            line = [path.pose(begin + at, 0.2 * TILE_M) for at in np.arange(0.0, 0.6, 0.02)]
            places = robot.ahead(BUMPER_M).local(np.array([(at.x_m, at.y_m) for at in line]))
            places = np.column_stack([places, np.zeros(len(places))])[places[:, 0] > 0.03]
            x, y = project(places).T
            near = x[(y > 250) & (y < 440)]
            if placement.kind != "edge" and len(near):
                found.append(int(near.max()))
        return found

    grazing = columns(DASHES)
    assert len(grazing) > 20 and np.mean(np.abs(grazing) < 20) > 0.95
    assert np.mean(np.abs(columns(PLAIN)) < 20) < 0.5
    render(tmp_path, LOOK_FRAMES * 2, seed=5, workers=1, split="dashes", scenes="dashes")
    levels = {(label["kind"], label["level"]) for label in labels(tmp_path)}
    assert {("none", "CLEAR"), ("edge", "STOP")} <= levels


def test_yellow_roads_have_more_yellow_things_in_the_way() -> None:
    path = random_town(3).path()

    def on_road(crowding: Crowding) -> int:
        rng, count = np.random.default_rng(1), 0
        for placement in (choose_placement(path, 32, rng, crowding) for _ in range(60)):
            things = [place[:2] for name, place in placement.things.items() if name.startswith("yellow")]
            count += sum(abs(path.lane_pose(Pose(*place, 0.0)).d_m) < 0.15 for place in things)
        return count

    assert on_road(YELLOW) > 3 * max(1, on_road(PLAIN))


def test_placements_are_varied_and_leave_the_robot_room() -> None:
    path, rng = random_town(3).path(), np.random.default_rng(1)
    placements = [choose_placement(path, 32, rng) for _ in range(300)]
    kinds = {kind: sum(p.kind == kind for p in placements) / 300 for kind in ("none", "in_path", "beside")}
    assert kinds["in_path"] == pytest.approx(0.60, abs=0.1)
    assert max(abs(p.d_m) for p in placements) <= 0.06
    assert 0.2 < max(abs(p.phi_rad) for p in placements) <= 0.35
    assert {"robot0", "robot1", "yellow0"} <= {name for p in placements for name in p.things}
    for placement in placements:
        places = [place[:2] for place in [*placement.ducks.values(), *placement.things.values()]]
        local = placement.robot.local(np.array(places).reshape(-1, 2))
        assert not ((np.abs(local[:, 0]) < BUMPER_M) & (np.abs(local[:, 1]) < 0.08)).any()


def test_edges_are_frames_with_a_duck_cut_off_by_the_pictures_side_some_in_the_way_and_some_not(tmp_path: Path) -> None:
    render(tmp_path, LOOK_FRAMES * 2, seed=5, workers=1, split="edges", scenes="edges")
    found = labels(tmp_path)
    assert {label["kind"] for label in found} == {"edge"}
    cut = [duck for label in found for duck in label["ducks"] if duck["box"][0] == 0 or duck["box"][2] == 640]
    assert len(cut) > len(found) / 3
    assert 0.1 < np.mean([label["level"] == "STOP" for label in found]) < 0.9
    placement = choose_placement(random_town(3).path(), 32, np.random.default_rng(1), EDGES)
    assert placement.ducks
