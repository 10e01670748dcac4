"""Duckietown's own maps: found without importing, read as towns with a loop to drive, or refused in one sentence."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from duckietown_kit import MAPS, installed, write_assets

from duck_protection.simulation.episode import Episode
from duck_protection.simulation.loops import best_loop
from duck_protection.simulation.official import VARIABLE, assets_named, find_folder, map_names
from duck_protection.simulation.official_maps import official_town
from duck_protection.simulation.tiles import Tile
from duck_protection.simulation.town import TILE_M, Town
from duck_protection.simulation.towns import town_named

pytestmark = pytest.mark.usefixtures("assets_folder")
GOOD = ("ring", "clockwise", "street", "eight")


def turns(town: Town) -> int:
    """At how many crossings of the loop the route does not go straight on."""
    crossings = {tile.cell for tile in town.tiles if tile.kind.startswith("crossing")}
    cells = town.cells
    around = zip((cells[-1], *cells[:-1]), cells, (*cells[1:], cells[0]))
    return sum(here in crossings and a[0] != b[0] and a[1] != b[1] for a, here, b in around)


def test_a_map_lies_with_its_first_row_in_the_north() -> None:
    kinds = {tile.cell: (tile.kind, tile.quarters) for tile in official_town("ring").tiles}
    assert len(kinds) == 20
    assert kinds[2, 1] == ("grass", 0)
    assert kinds[0, 3] == ("floor", 0)
    assert {kinds[cell] for cell in ((1, 2), (2, 2), (3, 2), (1, 0))} == {
        ("curve", 3), ("straight", 2), ("curve", 2), ("curve", 0)
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "tiles", "crossings", "turned"),
    [("ring", 8, 0, 0), ("clockwise", 8, 0, 0), ("street", 14, 3, 0), ("eight", 8, 1, 1)],
)
def test_the_loop_is_long_and_crosses_straight_where_it_can(name: str, tiles: int, crossings: int, turned: int) -> None:
    town = official_town(name)
    found = {tile.cell for tile in town.tiles if tile.kind.startswith("crossing")}
    assert (len(town.cells), len(found & set(town.cells)), turns(town)) == (tiles, crossings, turned)


@pytest.mark.parametrize(("name", "sign"), [("ring", 1), ("clockwise", -1), ("street", 1)])
def test_a_loop_is_driven_as_its_tiles_are_headed(name: str, sign: int) -> None:
    path = official_town(name).path()
    s = np.arange(0, path.length_m, 0.001)
    assert sum(path.curvature(at) * 0.001 for at in s) == pytest.approx(sign * 2 * math.pi, abs=0.1)


@pytest.mark.parametrize("name", GOOD)
def test_the_route_stays_on_tiles_that_lead_to_each_other(name: str) -> None:
    town = official_town(name)
    ways = {tile.cell: tile.neighbours() for tile in town.tiles}
    for here, there in zip(town.cells, (*town.cells[1:], town.cells[0])):
        assert there in ways[here]
        assert here in ways[there]
    path = town.path()
    tiles = {(int(x // TILE_M), int(y // TILE_M)) for x, y in path.points(np.arange(0, path.length_m, 0.01))}
    assert tiles == set(town.cells)


def test_a_name_is_a_town_and_its_reverse() -> None:
    town, back = town_named("official:street"), town_named("official:street_reversed")
    assert town == official_town("street")
    assert (back.cells, back.tiles) == (town.cells[::-1], town.tiles)
    assert set(town.cells) < set(town.roads())
    assert town.bounds() == (0, 5, 0, 3)


def test_things_of_either_kind_of_place_and_no_ducks() -> None:
    things = official_town("ring").things
    places = {(thing.kind, round(thing.x_m / TILE_M, 3), round(thing.y_m / TILE_M, 3)) for thing in things}
    tree = ("tree", round(2.5 + 0.1 / TILE_M, 3), round(1.5 - 0.05 / TILE_M, 3))
    assert places == {("house", 0.5, 3.5), ("house", 1.5, 2.5), ("house", 0.95, 1.5), tree}
    turned = {(thing.kind, round(math.degrees(thing.yaw_rad)), thing.height_m) for thing in things}
    assert turned == {("house", 90, 0.2), ("house", 0, 0.2), ("tree", 90, 0.1)}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere", r"no official map 'nowhere'; known: broken, .*ring"),
        ("../maps/ring", "no official map"),
        ("open", "map open: no closed loop"),
        ("unknown_tile", r"map unknown_tile: cannot be read .*unknown tile 'bridge/E'"),
        ("no_tiles", r"map no_tiles: cannot be read .*tiles"),
        ("nan", "map nan: cannot be read .*tree: place or height is no number"),
        ("endless", "map endless: cannot be read .*tree: place or height is no number"),
        ("broken", "map broken: cannot be read"),
        ("list", "map list: cannot be read"),
        ("empty", "map empty: has no tiles"),
        ("many", "map many: .*more than 64"),
    ],
)
def test_what_is_wrong_with_a_map_is_one_sentence(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        town_named(f"official:{name}")
    assert "\n" not in str(raised.value)


def test_a_grid_of_crossings_has_a_loop_in_bounded_time_and_always_the_same() -> None:
    tiles = [Tile((x, y), "crossing4") for x in range(12) for y in range(12)]
    loop = best_loop(tiles)
    assert len(loop) >= 4
    assert loop == best_loop(tiles)


def test_without_package_and_variable_one_sentence_says_how(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE)
    if not installed():
        with pytest.raises(ValueError, match=f"not installed: pip install .*{VARIABLE}"):
            town_named("official:udem1")
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(ValueError, match="no folder maps in"):
        assets_named("photos")
    with pytest.raises(ValueError, match="known: photos, smooth, synthetic"):
        assets_named("oil")
    assert assets_named("") is None


def test_the_package_is_found_and_not_imported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "duckietown_world"
    write_assets(package / "data" / "gd1")
    (package / "__init__.py").write_text("raise ImportError('nobody may import this')\n")
    monkeypatch.delenv(VARIABLE)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_folder() == package / "data" / "gd1"
    assert find_folder(package) == package / "data" / "gd1"
    assert map_names(find_folder()) == sorted(MAPS)


@pytest.mark.parametrize("name", GOOD)
def test_the_robot_finds_its_way_round(name: str) -> None:
    episode = Episode(official_town(name), (0.05,) * 22, 3)
    start_s = episode.path.nearest((episode.robot.pose.x_m, episode.robot.pose.y_m))
    passed = 0.0
    for _ in range(int(episode.path.length_m / 0.2 / 0.02) + 50):
        lane = episode.lane_pose()
        episode.command(0.2, 0.2 * lane.curvature - 5 * lane.phi_rad - 25 * lane.d_m)
        episode.step(0.02)
        assert abs(episode.lane_pose().d_m) < 0.06
        s = episode.path.nearest((episode.moment.pose.x_m, episode.moment.pose.y_m))
        passed = max(passed, (s - start_s) % episode.path.length_m)
    assert passed > 0.9 * episode.path.length_m


@pytest.mark.skipif(not installed(), reason="needs Duckietown's package: pip install --no-deps duckietown-world-daffy")
def test_every_map_of_the_package_is_a_town_or_has_no_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    without = []
    for name in map_names(find_folder()):
        try:
            town = official_town(name)
        except ValueError as err:
            assert "no closed loop" in str(err)
            without.append(name)
        else:
            assert town.path().length_m > 3
            assert turns(town) <= 1
            assert name != "robotarium1" or len(town.cells) == 42
    known = {"calibration_map_ext", "calibration_map_int", "field1", "regress_4way_drivable", "straight_road"}
    assert set(without) == known | {"straight_road_down"}
