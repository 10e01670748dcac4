"""What the camera sees is where it should be: ducks, yellow and white lines; and no two frames are the same."""

from __future__ import annotations

import io
import math
from typing import Iterator

import numpy as np
import pytest
from PIL import Image

from duck_protection.simulation.camera import COUNTED_PX, Eye, Mount, project
from duck_protection.simulation.look import Light, Look, random_look
from duck_protection.simulation.scene import Scene
from duck_protection.simulation.sensor import LEAST_NOISE, Sensor, encode, expose, random_sensor
from duck_protection.simulation.town import BUMPER_M, LanePath
from duck_protection.simulation.towns import town_named

TOWN = town_named("s_loop")
PLAIN = Look(clutter=0, light=Light(shadows=False, ambient=0.5))
YELLOW_LEFT_M, WHITE_RIGHT_M = 0.117, 0.129  # from the lane's centre


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(TOWN, PLAIN, ducks=6, yellow=1, robots=1)


@pytest.fixture(scope="module")
def eye(scene: Scene) -> Iterator[Eye]:
    eye = Eye()
    eye.enter(scene)
    yield eye
    eye.close()


@pytest.fixture(scope="module")
def path() -> LanePath:
    return TOWN.path()


def straight(path: LanePath) -> float:
    """An arc length with a straight metre ahead."""
    ways = np.arange(0, path.length_m, 0.05)
    return float(next(s for s in ways if not any(path.curvature(s + ahead) for ahead in np.arange(0, 1.1, 0.05))))


def is_yellow(pixels: np.ndarray) -> np.ndarray:
    r, g, b = (pixels[..., i].astype(int) for i in range(3))
    return (r > 90) & (g > 60) & (b < 0.6 * g) & (r >= g)


@pytest.mark.parametrize(("forward_m", "left_m"), [(0.15, 0.0), (0.4, 0.05), (0.4, -0.08), (0.8, 0.0)])
def test_a_duck_is_seen_where_it_stands(
    scene: Scene, eye: Eye, path: LanePath, forward_m: float, left_m: float
) -> None:
    robot = path.pose(straight(path))
    at = path.pose(straight(path) + BUMPER_M + forward_m, left_m)
    scene.hide_all()
    scene.place("duck0", at.x_m, at.y_m, at.theta_rad + 0.7)
    picture = eye.look(robot)
    (duck,) = eye.ducks()
    x0, y0, x1, y1 = duck.box
    foot = project(np.array([[forward_m, left_m, 0.0]]))[0]
    middle = project(np.array([[forward_m, left_m, 0.025]]))[0]
    assert duck.duck == 0
    assert x0 < middle[0] < x1
    assert y0 < min(middle[1], 479) < y1
    assert foot[1] - 0.35 * (y1 - y0) < y1  # it stands on the ground there, seen from above
    assert is_yellow(picture[y0:y1, x0:x1]).sum() > 0.75 * duck.pixels


def test_yellow_pixels_outside_ducks_and_lines_are_none(scene: Scene, eye: Eye, path: LanePath) -> None:
    """The box from the segmentation holds the whole duck: around it lies bare asphalt."""
    at = path.pose(straight(path) + BUMPER_M + 0.4)
    scene.hide_all()
    scene.place("duck1", at.x_m, at.y_m, at.theta_rad)
    picture = eye.look(path.pose(straight(path)))
    x0, y0, x1, y1 = eye.ducks()[0].box
    around = picture[y0 - 6 : y1 + 6, x0 - 6 : x1 + 6].copy()
    around[4:-4, 4:-4] = 0
    assert not is_yellow(around).any()


def test_a_hidden_duck_has_no_pixels_and_a_far_one_few(scene: Scene, eye: Eye, path: LanePath) -> None:
    near, far = (path.pose(straight(path) + BUMPER_M + gap) for gap in (0.35, 0.9))
    scene.hide_all()
    scene.place("duck2", far.x_m, far.y_m, 0.0)
    eye.look(path.pose(straight(path)))
    (seen,) = eye.ducks()
    assert COUNTED_PX < seen.pixels < 1500
    for lift in (0.0, 0.05, 0.10):  # a wall of ducks before it
        scene.place(f"duck{3 + round(lift * 20)}", near.x_m, near.y_m, near.theta_rad, lift)
    eye.look(path.pose(straight(path)))
    hidden = [duck for duck in eye.ducks() if duck.duck == 2]
    assert not hidden or hidden[0].pixels < seen.pixels / 2


def test_lines_lie_where_the_lane_says_in_every_tile(scene: Scene, eye: Eye, path: LanePath) -> None:
    """Every tile of the loop, turned every way: white at the lane's right edge, yellow dashes at its left."""
    scene.hide_all()
    for s in np.arange(0.05, path.length_m, 0.19):
        robot = path.pose(s)
        picture = eye.look(robot)
        ways = s + BUMPER_M + np.arange(0.10, 0.26, 0.005)
        for offset, wanted in ((-WHITE_RIGHT_M, "white"), (YELLOW_LEFT_M, "yellow"), (0.0, "asphalt")):
            ground = np.array([(pose.x_m, pose.y_m) for pose in (path.pose(way, offset) for way in ways)])
            places = robot.ahead(BUMPER_M).local(ground)
            pixels = np.round(project(np.column_stack([places, np.zeros(len(places))]))).astype(int)
            inside = (pixels >= 0).all(1) & (pixels < (640, 480)).all(1)
            seen = picture[pixels[inside, 1], pixels[inside, 0]].astype(int)
            if not len(seen):
                continue
            if wanted == "white":
                assert np.mean(seen.min(axis=1) > 110) > 0.8, s
            elif wanted == "yellow":
                assert 0.3 < np.mean(is_yellow(seen)) < 0.95, s
            else:
                assert np.mean(seen.max(axis=1) < 90) > 0.9, s


def test_pitch_and_height_move_the_picture_as_they_move_the_projection(
    scene: Scene, eye: Eye, path: LanePath
) -> None:
    mount = Mount(height_m=0.112, pitch_rad=math.radians(21.0))
    at = path.pose(straight(path) + BUMPER_M + 0.5)
    scene.hide_all()
    scene.place("duck0", at.x_m, at.y_m, at.theta_rad)
    eye.look(path.pose(straight(path)), mount)
    x0, y0, x1, y1 = eye.ducks()[0].box
    middle = project(np.array([[0.5, 0.0, 0.025]]), mount=mount)[0]
    assert abs((x0 + x1) / 2 - middle[0]) < 4
    assert abs((y0 + y1) / 2 - middle[1]) < 4


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(eye: Eye, path: LanePath) -> None:
    light = eye.look(path.pose(1.0))
    assert np.array_equal(light, eye.look(path.pose(1.0)))
    pictures = [encode(expose(light, Sensor(), np.random.default_rng(seed)), 85) for seed in (1, 1, 2)]
    assert pictures[0] == pictures[1] != pictures[2]


def test_a_hundred_pictures_of_one_sight_are_all_different(eye: Eye, path: LanePath) -> None:
    light, rng = eye.look(path.pose(2.0)), np.random.default_rng(3)
    assert len({encode(expose(light, Sensor(noise=LEAST_NOISE), rng), 85) for _ in range(100)}) == 100


def test_a_sensor_without_noise_is_refused() -> None:
    with pytest.raises(ValueError, match="noise is 0"):
        Sensor(noise=0.0)


def test_a_jpeg_is_640_by_480_and_red_stays_red() -> None:
    light = np.zeros((480, 640, 3), np.uint8)
    light[:, :320, 0], light[:, 320:, 2] = 200, 200
    with Image.open(io.BytesIO(encode(expose(light, Sensor(), np.random.default_rng(1)), 90))) as image:
        picture = np.asarray(image)
    assert picture.shape == (480, 640, 3)
    assert picture[240, 100, 0] > 100 > picture[240, 100, 2]


def test_random_looks_and_sensors_vary_and_repeat() -> None:
    assert random_look(4) == random_look(4) != random_look(5)
    sensors = [random_sensor(np.random.default_rng(seed)) for seed in range(50)]
    assert min(s.exposure for s in sensors) < 0.7 < 1.5 < max(s.exposure for s in sensors)
    assert all(s.noise >= LEAST_NOISE for s in sensors)
