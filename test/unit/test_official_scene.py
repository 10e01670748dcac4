"""Duckietown's own tiles, ducks and furniture in a scene: where they belong, and nothing changes without them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from duckietown_kit import installed

from duck_protection.learning.dataset import load
from duck_protection.learning.render import LOOK_FRAMES, render, render_look
from duck_protection.simulation import paint, shapes
from duck_protection.simulation.camera import Eye
from duck_protection.simulation.episode import TownWorld
from duck_protection.simulation.furniture import REACH_M, official_duck
from duck_protection.simulation.look import DEMO
from duck_protection.simulation.obj import read_obj
from duck_protection.simulation.official import PAINTS, VARIABLE, Assets
from duck_protection.simulation.official_maps import official_town
from duck_protection.simulation.scene import HIDDEN, Scene
from duck_protection.simulation.tiles import GROUNDS, WAYS, Tile
from duck_protection.simulation.town import BUMPER_M, TILE_M
from duck_protection.simulation.towns import town_named

BARE = replace(DEMO, clutter=0)


@pytest.mark.parametrize("kind", sorted(WAYS))
def test_official_tiles_are_turned_to_lie_as_ours_do(assets_folder: Path, kind: str) -> None:
    """The light road reaches an edge's middle exactly where a tile of this kind leads out."""
    picture = Assets(assets_folder).tile(kind).astype(int)
    size = len(picture)
    middles = {(1, 0): picture[size // 2, -1], (0, 1): picture[0, size // 2], (-1, 0): picture[size // 2, 0],
               (0, -1): picture[-1, size // 2]}  # fmt: skip
    assert {step for step, colour in middles.items() if colour[0] > 150} == set(Tile((0, 0), kind).neighbours())


@pytest.mark.parametrize("kind", sorted(WAYS))
def test_our_tiles_have_no_white_line_across_a_way_out(kind: str) -> None:
    """The same promise for paint.py, which WAYS describes."""
    colours, rng = paint.Paint(wear=0.0, grain=0.0), np.random.default_rng(1)
    crossing = kind.startswith("crossing")
    tile = paint.crossing_tile(int(kind[-1]), colours, rng) if crossing else paint.road_tile(kind, colours, rng)
    white, middle = tile.min(axis=2) > 150, len(tile) // 2
    lines = {(1, 0): white[middle, middle:], (0, 1): white[:middle, middle], (-1, 0): white[middle, :middle],
             (0, -1): white[middle:, middle]}  # fmt: skip
    assert {step for step, line in lines.items() if not line.any()} == set(Tile((0, 0), kind).neighbours())


def test_a_mesh_stands_upright_at_the_origin_with_its_parts(assets_folder: Path) -> None:
    top, rest = read_obj(assets_folder / "meshes" / "house" / "house.obj")
    every = np.concatenate([top.mesh.vertices, rest.mesh.vertices])
    assert every.min(axis=0) == pytest.approx((-0.5, -0.25, 0.0))
    assert every.max(axis=0) == pytest.approx((0.5, 0.25, 1.0))
    assert top.mesh.vertices[:, 2] == pytest.approx(1.0)
    assert (top.skin.colour, rest.skin.colour) == ((0.1, 0.2, 0.9), (0.9, 0.2, 0.1))
    assert (len(top.mesh.faces), len(rest.mesh.faces)) == (2, 10)
    corners = top.mesh.vertices[top.mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (normals[:, 2] > 0).all()  # not mirrored: what was outside is outside


@pytest.mark.parametrize("text", ["", "v 0 0 0\nf 1 2 3\n", "v a b c\n", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 -4\n"])
def test_a_bad_mesh_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.obj").write_text(text)
    with pytest.raises(ValueError, match=r"cannot read Duckietown's mesh .*bad\.obj"):
        read_obj(tmp_path / "bad.obj")


def test_the_duck_has_our_ducks_width_and_looks_ahead(assets_folder: Path) -> None:
    mesh, skin = official_duck(Assets(assets_folder))
    assert np.ptp(mesh.vertices[:, 1]) == pytest.approx(shapes.DUCK_WIDTH)
    assert np.ptp(mesh.vertices[:, 0]) == pytest.approx(2 * shapes.DUCK_WIDTH)
    assert mesh.vertices[:, 2].min() == 0
    assert skin[0, 0].tolist() == [40, 60, 250]


def test_the_camera_sees_the_official_duck_where_the_truth_has_it(assets_folder: Path) -> None:
    town, pictures = town_named("l_loop"), {}
    path, eye = town.path(), Eye()
    robot = path.pose(next(s for s in np.arange(0, 9, 0.05) if not any(map(path.curvature, (s, s + 0.5, s + 0.9)))))
    duck = robot.ahead(BUMPER_M + 0.3)
    for name, assets in (("ours", None), ("theirs", Assets(assets_folder))):
        scene = Scene(town, BARE, ducks=2, assets=assets)
        scene.hide_all()
        scene.place("duck0", duck.x_m, duck.y_m, robot.theta_rad)
        eye.enter(scene)
        pictures[name] = eye.look(robot).astype(int)
        seen = [one for one in eye.ducks() if one.pixels > 500]
        assert [one.duck for one in seen] == [0]
        left, top, right, low = (int(value) for value in seen[0].box)
        middle = pictures[name][(top + low) // 2, (left + right) // 2]
        assert (middle[2] > middle[0]) == (name == "theirs")  # blue there, yellow here
    eye.close()


def test_without_assets_a_map_is_painted_by_us_and_its_furniture_left_out(assets_folder: Path) -> None:
    town = official_town("ring")
    ours, theirs = Scene(town, BARE), Scene(town, BARE, assets=Assets(assets_folder))
    known = [{model.mat(i).name for i in range(model.nmat)} for model in (ours.model, theirs.model)]
    assert known[1] - known[0] == set(GROUNDS) - {"floor"}
    assert theirs.model.ngeom == ours.model.ngeom + 1 + 2 * 2  # a tile of grass; house and tree of two parts each


def test_furniture_stands_where_the_map_says_and_never_on_the_road(assets_folder: Path) -> None:
    """Of the ring's things one house stands on the road and one reaches over it."""
    town = official_town("ring")
    model = Scene(town, BARE, ducks=0, yellow=0, robots=0, assets=Assets(assets_folder)).model
    theirs = [i for i in range(model.ngeom) if _mesh_name(model, i).startswith("official")]
    stands = [model.body(model.geom_bodyid[i]).pos for i in theirs]
    corner, tree = (0.5 * TILE_M, 3.5 * TILE_M, 0), (2.5 * TILE_M + 0.1, 1.5 * TILE_M - 0.05, 0)
    assert np.array(stands) == pytest.approx(np.array([corner, corner, tree, tree]))


def test_clutter_of_the_package_does_not_reach_over_the_road(assets_folder: Path) -> None:
    model = Scene(town_named("l_loop"), replace(DEMO, clutter=60), assets=Assets(assets_folder)).model
    reaches = [
        np.hypot(*model.mesh_vert[start : start + count, :2].T).max()
        for i, start, count in zip(range(model.nmesh), model.mesh_vertadr, model.mesh_vertnum)
        if model.mesh(i).name.startswith("official_house")
    ]
    assert reaches
    assert max(reaches) <= REACH_M + 0.02  # a part's own middle may lie beside the thing's


def test_every_thing_placed_can_be_hidden_with_assets_too(assets_folder: Path) -> None:
    scene = Scene(official_town("eight"), DEMO, assets=Assets(assets_folder))
    scene.hide_all()
    assert (scene.data.mocap_pos == HIDDEN).all()


def test_a_missing_picture_is_one_sentence(assets_folder: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(assets_folder, tmp_path / "broken")
    (broken / "textures" / "tiles-processed" / "smooth" / "4way" / "texture.jpg").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"cannot read Duckietown's picture .*4way"):
        Scene(town_named("ring"), DEMO, assets=Assets(broken, "smooth"))
    shutil.rmtree(broken / "meshes" / "duckie")
    with pytest.raises(ValueError, match="no duckie with a picture"):
        Scene(town_named("ring"), DEMO, assets=Assets(broken))


def test_a_world_drives_through_a_map_in_either_paint(assets_folder: Path) -> None:
    assert (assets_folder / "maps").is_dir()
    worlds = [TownWorld(1, "official:street_reversed", assets=name) for name in ("smooth", "")]
    pictures = [world.render_jpeg() for world in worlds]
    assert pictures[0] != pictures[1]
    assert worlds[0].truth() == worlds[1].truth()


def test_frames_of_a_named_town_say_which_look_and_whose_assets(assets_folder: Path, tmp_path: Path) -> None:
    assert (assets_folder / "maps").is_dir()
    render(tmp_path / "set", LOOK_FRAMES + 2, 3, 1, "set", "plain", "official:street", "photos")
    frames = load(tmp_path / "set")
    assert {label["assets"] for label in frames.labels} == {"photos"}
    assert frames.official
    assert frames.looks.tolist() == [0] * LOOK_FRAMES + [1, 1]
    assert {label["map"].partition(",")[0] for label in frames.labels} == {"official:street"}


def test_without_assets_a_frame_has_no_word_of_them() -> None:
    (_, label), = render_look(3, 0, range(1), "set", "plain")
    assert "assets" not in label


def _mesh_name(model: object, geom: int) -> str:
    number = int(model.geom_dataid[geom])
    return str(model.mesh(number).name) if number >= 0 else ""


@pytest.mark.skipif(not installed(), reason="needs Duckietown's package: pip install --no-deps duckietown-world-daffy")
@pytest.mark.parametrize("assets", PAINTS)
def test_the_package_paints_a_world(monkeypatch: pytest.MonkeyPatch, assets: str) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    worlds = [TownWorld(1, "official:udem1", assets=name) for name in (assets, "")]
    assert worlds[0].render_jpeg() != worlds[1].render_jpeg()
    assert worlds[0].truth() == worlds[1].truth()
