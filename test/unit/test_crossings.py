"""Side roads: apart from every other road, crossed straight by the route, and visible as crossings."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from duck_protection.simulation.crossings import (
    LENGTH_TILES,
    random_crossings,
    ways_out,
    with_crossings,
)
from duck_protection.simulation.episode import Episode
from duck_protection.simulation.look import DEMO
from duck_protection.simulation.paint import TILE_PX, Paint, crossing_tile
from duck_protection.simulation.photographer import Photographer
from duck_protection.simulation.town import TILE_M, Town
from duck_protection.simulation.towns import town_named

TOWNS = [random_crossings(seed) for seed in range(60)]


def test_every_town_has_a_crossing_and_some_have_several() -> None:
    assert all(town.side_roads for town in TOWNS)
    assert max(len(ways_out(town)) for town in TOWNS) >= 2


def test_a_large_loop_has_room_for_crossings_of_four_ways() -> None:
    side = range(9)
    ring = [*((x, 0) for x in side), *((9, y) for y in side), *((9 - x, 9) for x in side), *((0, 9 - y) for y in side)]
    town = with_crossings(Town("ring", tuple(ring)), 30, np.random.default_rng(1))
    assert {len(ways) for ways in ways_out(town).values()} == {1, 2}


def test_a_side_road_touches_the_loop_at_its_own_crossing_only() -> None:
    for town in TOWNS:
        for road in town.side_roads:
            assert len(road) == LENGTH_TILES
            for cell in road:
                others = set(town.roads()) - set(road)
                beside = [one for one in others if abs(one[0] - cell[0]) + abs(one[1] - cell[1]) == 1]
                assert beside == ([one for one in ways_out(town) if one in beside] if cell == road[0] else [])
                assert cell not in town.cells


def test_the_route_crosses_straight() -> None:
    for town in TOWNS:
        path = town.path()
        for column, row in ways_out(town):
            s = path.nearest(((column + 0.5) * TILE_M, (row + 0.5) * TILE_M))
            assert all(path.curvature(s + gap) == 0 for gap in (-TILE_M, 0.0, TILE_M))


def test_side_roads_leave_at_right_angles() -> None:
    for town in TOWNS:
        for (column, row), ways in ways_out(town).items():
            path = town.path()
            heading = path.heading(path.nearest(((column + 0.5) * TILE_M, (row + 0.5) * TILE_M)))
            assert all(abs(math.cos(way - heading)) < 1e-6 for way in ways)


@pytest.mark.parametrize("ways", [3, 4])
def test_a_crossing_has_a_red_line_for_every_way_in_and_no_yellow(ways: int) -> None:
    tile = crossing_tile(ways, Paint(wear=0.0), np.random.default_rng(1)).astype(int)
    red = (tile[..., 0] > 120) & (tile[..., 1] < 60)
    quarter = TILE_PX // 4
    middle = slice(quarter, -quarter)
    ends = [red[middle, :quarter], red[middle, -quarter:], red[:quarter, middle], red[-quarter:, middle]]  # W, E, N, S
    assert [bool(end.sum() > 2000) for end in ends] == [True, True, True, ways == 4]
    assert not ((tile[..., 0] > 120) & (tile[..., 1] > 90) & (tile[..., 2] < 60)).any()


def test_a_town_with_crossings_has_a_name_and_a_wrong_name_lists_what_there_is() -> None:
    assert town_named("crossings:3") == random_crossings(3)
    for wrong in ("crossings:x", "crossings", "nowhere:1"):
        with pytest.raises(ValueError, match="crossings:SEED"):
            town_named(wrong)


def test_a_crossing_is_seen_by_the_camera() -> None:
    town = random_crossings(4)
    camera = Photographer(town, replace(DEMO, seed=4), 12, 4)
    path, (column, row) = town.path(), next(iter(ways_out(town)))
    s = path.nearest(((column + 0.5) * TILE_M, (row + 0.5) * TILE_M)) - 0.9 * TILE_M
    moment = Episode(town, camera.duck_widths_m, 4, s_m=s).moment
    picture = cv2.imdecode(np.frombuffer(camera.picture(replace(moment, ducks=())), np.uint8), cv2.IMREAD_COLOR)
    blue, green, red = (picture[240:, :, channel].astype(int) for channel in range(3))
    assert ((red > 90) & (green < 60) & (blue < 60)).sum() > 1000
