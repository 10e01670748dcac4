"""Renders training frames: a robot anywhere on random loops, ducks everywhere, each frame with its truth.

    python -m duck_protection.learning.render --out data/plain --n 9000 --seed 3 --scenes plain

Kinds of scenes: plain (a lit room, few things), hard (dark halls, coloured lamps, crowds of ducks), edges (plain, with
a near duck that the picture's side cuts off), crossings (plain, in towns with side roads), yellow (plain, with
yellow things that are no ducks on the road), and even (plain, the nearest duck in the way at any distance from 0.15 to
1.5 m alike, and none in a third of the frames), near (plain, a duck in the way within 0.45 m in every frame), dashes
(the yellow line just reaches into the picture at its left side, where a dash looks like half a duck, or half a duck
does); mixed has looks of all of them: what a training wants.
Writes frames/NNNNNN.jpg (640x480) and labels.jsonl (one line a frame).
A frame depends on the seed and its number alone, whatever the number of workers; an interrupted run goes on where
labels.jsonl ends, and another one is refused there (plan.json). Promise: a label's level is corridor.true_level over
the ducks that count: at least 12 visible pixels, and a tenth of the whole duck. Those of which less is seen stand
under "glimpses" (docs/architecture.md).
"""
from __future__ import annotations

import argparse
import json
import math
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from duck_protection.corridor import along_path, true_level
from duck_protection.learning import placing
from duck_protection.learning.placing import Crowding, Placement, choose_placement
from duck_protection.learning.plans import check_same
from duck_protection.recording.results import write_json
from duck_protection.simulation.camera import CAMERA_AHEAD_M, COUNTED_PX, Eye, Lens, Mount, SeenDuck
from duck_protection.simulation.crossings import random_crossings
from duck_protection.simulation.look import Look, random_look
from duck_protection.simulation.official import PAINTS, assets_named
from duck_protection.simulation.scene import Scene
from duck_protection.simulation.sensor import Sensor, encode, expose, plain_sensor, random_sensor
from duck_protection.simulation.town import BUMPER_M, LanePath, Town, random_town
from duck_protection.simulation.towns import town_named
from duck_protection.simulation.workers import in_order

LOOK_FRAMES = 14  # frames that share a town and a look: a new one costs as much as four frames
ROUTE_M = 1.8
COUNTED_SHARE = 0.1  # of a duck: the rest is cut off by the picture's side or hidden behind something

Label = Dict[str, Any]
Frame = Tuple[bytes, Label]


def _tidy(look: Look) -> Look:
    widths = tuple(max(0.045, width) for width in look.duck_widths_m)
    return replace(look, duck_widths_m=widths, clutter=min(16, look.clutter), darkness=min(0.6, look.darkness))


@dataclass(frozen=True)
class Scenes:
    """What kind of pictures: how full, how the sensor sees, and what is done to a random look."""

    crowding: Crowding
    sensor: Callable[[np.random.Generator], Sensor]
    look: Callable[[Look], Look]
    town: Callable[[int], Town] = random_town


SCENES = {
    "hard": Scenes(placing.HARD, random_sensor, lambda look: look),
    "plain": Scenes(placing.PLAIN, plain_sensor, _tidy),
    "edges": Scenes(placing.EDGES, plain_sensor, _tidy),
    "yellow": Scenes(placing.YELLOW, plain_sensor, _tidy),
    "even": Scenes(placing.EVEN, plain_sensor, _tidy),
    "near": Scenes(placing.NEAR, plain_sensor, _tidy),
    "dashes": Scenes(placing.DASHES, random_sensor, _tidy),
    "crossings": Scenes(placing.PLAIN, plain_sensor, _tidy, random_crossings),
}
MIXED = "mixed"
# Shares of the looks of a mixed set.
MIX = {"plain": 0.13, "crossings": 0.18, "hard": 0.15, "even": 0.15, "yellow": 0.15, "near": 0.1, "edges": 0.07,
       "dashes": 0.07}  # fmt: skip


def render_look(
    seed: int, look: int, numbers: range, split: str, scenes: str = "hard", named: str = "", assets: str = ""
) -> List[Frame]:
    """These frames of one look, as JPEG bytes and labels. Opens the eye on the first call of a process.

    Args:
        named: This town (towns.py) instead of random ones.
        assets: Painted with these (official.py); every label says so, for their terms go with the pictures.
    """
    rng = np.random.default_rng([seed, look])
    kind = SCENES[str(rng.choice(list(MIX), p=list(MIX.values()))) if scenes == MIXED else scenes]
    town = kind.town(int(rng.integers(2**31)))
    town = town_named(named) if named else town
    dressed = kind.look(random_look(int(rng.integers(2**31))))
    scene = Scene(town, dressed, ducks=32, yellow=8, robots=2, assets=assets_named(assets))
    eye = _eye()
    eye.wear(random_lens(rng))
    eye.enter(scene)
    path = town.path()
    called = f"{town.name}, look {look}" if named else town.name  # frames of one look are known by their town's name
    frames = [
        _render_frame(eye, scene, path, np.random.default_rng([seed, look, n]), n, split, called, kind)
        for n in numbers
    ]
    return [(jpeg, {**label, "assets": assets}) for jpeg, label in frames] if assets else frames


def random_lens(rng: np.random.Generator) -> Lens:
    """The Duckiebot's lens, as it varies from one robot to the next: focal length 3 %, centre a few pixels."""
    base, focal = Lens(), rng.uniform(0.97, 1.03)
    k1, k2, p1, p2, k3 = base.distortion
    bent = (k1 + rng.uniform(-0.04, 0.03), k2 + rng.uniform(-0.008, 0.008), p1 + rng.normal(0, 0.001),
            p2 + rng.normal(0, 0.001), k3)
    return Lens(base.fx * focal, base.fy * focal, base.cx + rng.uniform(-14, 22), base.cy + rng.uniform(-12, 18), bent)


def random_mount(rng: np.random.Generator) -> Mount:
    """The camera's seat: 2 degrees of pitch, 5 mm of height, 1 degree of roll."""
    base = Mount()
    return Mount(base.height_m + rng.uniform(-0.005, 0.005), base.pitch_rad + np.radians(rng.uniform(-2, 2)),
                 np.radians(rng.uniform(-1, 1)))


def _render_frame(eye: Eye, scene: Scene, path: LanePath, rng: np.random.Generator, number: int, split: str,
                  town: str, kind: Scenes) -> Frame:
    placement = choose_placement(path, len(scene.duck_width_m), rng, kind.crowding)
    placement.arrange(scene)
    mount = random_mount(rng)
    light = eye.look(placement.robot, mount)
    sensor = kind.sensor(rng)
    jpeg = encode(expose(light, sensor, rng), sensor.quality)
    truth = _truth(eye, mount, placement, path, scene.duck_width_m)
    label = {"file": f"frames/{number:06d}.jpg", **truth, "map": town, "seed": number,
             "split": split, "d_m": round(placement.d_m, 4), "phi_rad": round(placement.phi_rad, 4),
             "kind": placement.kind}
    return jpeg, label


def _truth(eye: Eye, mount: Mount, placement: Placement, path: LanePath, widths_m: Sequence[float]) -> Label:
    route = path.ahead(placement.robot, ROUTE_M)
    seen = [duck for duck in eye.ducks() if duck.pixels >= COUNTED_PX]
    ground = np.array([placement.ducks[duck.duck][:2] for duck in seen]).reshape(-1, 2)
    places = placement.robot.ahead(BUMPER_M).local(ground)
    lanes = along_path(places, route)
    shares = [_share(duck, at, mount, widths_m[duck.duck]) for duck, at in zip(seen, places)]
    counted = np.array(shares) >= COUNTED_SHARE
    level = true_level(places[counted], route)
    ducks = [
        {"forward_m": round(float(at[0]), 4), "left_m": round(float(at[1]), 4), "along_m": round(float(lane[0]), 4),
         "offset_m": round(float(lane[1]), 4), "box": list(duck.box), "pixels": duck.pixels, "share": round(share, 3)}
        for duck, at, lane, share in zip(seen, places, lanes, shares)
    ]
    glimpses = [duck for duck, counts in zip(ducks, counted) if not counts]
    return {"level": level.name, "ducks": [duck for duck, counts in zip(ducks, counted) if counts],
            "glimpses": glimpses}


def _share(duck: SeenDuck, at: np.ndarray, mount: Mount, width_m: float) -> float:
    """How much of a duck is seen: its pixels over a square of its width at this distance, which is what a whole one
    shows (measured: 0.9 in the picture's middle, 1.1 at its side)."""
    away_m = math.hypot(at[0] + BUMPER_M - CAMERA_AHEAD_M, at[1], mount.height_m - placing.DUCK_MIDDLE_M)
    return duck.pixels * (away_m / (Lens().fx * width_m)) ** 2


_EYES: List[Eye] = []  # one a process: an OpenGL context is worth keeping


def _eye() -> Eye:
    if not _EYES:
        _EYES.append(Eye())
    return _EYES[0]


def _work(job: Tuple[int, int, range, str, str, str, str, str]) -> List[Label]:
    """Render one look and write its pictures; the labels go back to the parent, which alone writes labels.jsonl."""
    seed, look, numbers, split, out, scenes, town, assets = job
    labels = []
    for jpeg, label in render_look(seed, look, numbers, split, scenes, town, assets):
        Path(out, label["file"]).write_bytes(jpeg)
        labels.append(label)
    return labels


def _done_looks(labels: Path) -> int:
    """Whole looks already in labels.jsonl; a torn end is cut off."""
    lines = labels.read_bytes().splitlines(keepends=True) if labels.exists() else []
    whole = [line for line in lines if line.endswith(b"\n")]
    looks = len(whole) // LOOK_FRAMES
    labels.write_bytes(b"".join(whole[: looks * LOOK_FRAMES]))
    return looks


def _keep_plan(out: Path, plan: Dict[str, Any]) -> None:
    """What the set is begun with; sets that were begun before this was kept have none.

    Raises:
        ValueError: It was begun with something else.
    """
    file = out / "plan.json"
    if file.exists():
        check_same(json.loads(file.read_text()), plan, out)
    elif not (out / "labels.jsonl").exists():
        write_json(file, plan)


def render(
    out: Path, n: int, seed: int, workers: int, split: str, scenes: str = "hard", town: str = "", assets: str = ""
) -> None:
    """Render the data set, or the rest of it, with a progress bar; town and assets as in render_look().

    Raises:
        ValueError: No such town or assets, or another set was begun there; nothing has been written.
    """
    from tqdm import tqdm

    if town:
        town_named(town)  # tells of a wrong name before anything is written
    assets_named(assets)
    _keep_plan(out, {"seed": seed, "scenes": scenes, "town": town, "assets": assets})
    (out / "frames").mkdir(parents=True, exist_ok=True)
    first = _done_looks(out / "labels.jsonl")
    looks = range(first, -(-n // LOOK_FRAMES))
    jobs = [(seed, k, range(k * LOOK_FRAMES, min(n, (k + 1) * LOOK_FRAMES)), split, str(out), scenes, town, assets)
            for k in looks]
    began, total = time.monotonic(), 0
    bar = tqdm(total=n, initial=min(n, first * LOOK_FRAMES), unit="frame", mininterval=5)
    with (out / "labels.jsonl").open("a") as file, bar:
        for labels in in_order(_work, jobs, workers):
            file.writelines(json.dumps(label) + "\n" for label in labels)
            file.flush()
            bar.update(len(labels))
            total += len(labels)
    print(json.dumps({"frames": total, "frames_per_s": round(total / max(1e-9, time.monotonic() - began), 1)}))


def add_town(parser: argparse.ArgumentParser) -> None:
    """The options --town and --assets."""
    parser.add_argument("--town", default="", help="this town instead of random ones, official:MAP for one")
    parser.add_argument("--assets", default="", choices=("", *PAINTS), help="Duckietown's own tiles, ducks, furniture")


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Command line; the exit status."""
    parser = argparse.ArgumentParser(description="Render training frames of simulated towns.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--n", type=int, default=14000, help="frames in the whole data set")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--split", help="written into each label (default: the folder's name)")
    parser.add_argument("--scenes", choices=[*sorted(SCENES), MIXED], default="plain")
    add_town(parser)
    args = parser.parse_args(argv)
    try:
        render(args.out, args.n, args.seed, args.workers, args.split or args.out.resolve().name, args.scenes,
               args.town, args.assets)
    except (OSError, ValueError) as err:
        print(f"render: {err}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
