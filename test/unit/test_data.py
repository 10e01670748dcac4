"""`./run data`: renders, goes on, imports, and always leaves a sheet to look at."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from duck_protection.learning.contact_sheet import GAP, HEIGHT, LINE, WIDTH, contact_sheet
from duck_protection.learning.data import main
from duck_protection.learning.dataset import FrameSet
from duck_protection.recording.palette import COLOURS
from duck_protection.verdict import Level


def frames_of(folder: Path, labels: list) -> FrameSet:
    for number, label in enumerate(labels):
        label["file"] = f"{number:02d}.png"
        Image.new("RGB", (64, 48), (20, 30, 90 + number)).save(folder / label["file"])
    return FrameSet([folder / label["file"] for label in labels], labels, np.arange(len(labels)))


def opened(sheet: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(sheet)) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def test_a_set_is_rendered_gone_on_with_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--out", str(tmp_path / "few"), "--seed", "5", "--workers", "1"]
    assert main([*command, "--n", "4"]) == 0
    assert "look at it: " in capsys.readouterr().out
    assert len((tmp_path / "few" / "labels.jsonl").read_text().splitlines()) == 4
    before = (tmp_path / "few" / "contact_sheet.jpg").read_bytes()
    assert opened(before).shape == (HEIGHT + LINE + 2 * GAP, 4 * (WIDTH + GAP) + GAP, 3)
    (tmp_path / "few" / "contact_sheet.jpg").unlink()
    assert main([*command, "--look"]) == 0
    assert (tmp_path / "few" / "contact_sheet.jpg").read_bytes() == before


def test_a_box_has_the_colour_of_its_own_ducks_level(tmp_path: Path) -> None:
    duck = {"along_m": 0.2, "offset_m": 0.0, "box": [200, 200, 400, 400]}
    far = {"along_m": 3.0, "offset_m": 0.5, "box": [500, 60, 560, 120]}
    page = opened(contact_sheet(frames_of(tmp_path, [{"level": "STOP", "ducks": [duck, far]}])))
    for x, y, level in ((100, 150, Level.STOP), (250, 45, Level.CLEAR)):
        edge = page[GAP + y, GAP + x : GAP + x + 2].mean(0)
        distances = {one: np.abs(edge - colour).sum() for one, colour in COLOURS.items()}  # JPEG bleeds a little
        assert min(distances, key=lambda one: distances[one]) is level


def test_many_frames_are_taken_from_all_over(tmp_path: Path) -> None:
    frames = frames_of(tmp_path, [{"level": "CLEAR", "ducks": []} for _ in range(50)])
    page = opened(contact_sheet(frames))
    assert page.shape == (4 * (HEIGHT + LINE + GAP) + GAP, 6 * (WIDTH + GAP) + GAP, 3)
    assert abs(page[GAP + 100, GAP + 100, 2] - 90) < 4 and abs(page[-LINE - 100, -100, 2] - 139) < 4


def test_boxes_are_imported_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (640, 480), (60, 60, 60)).save(tmp_path / "a.jpg")
    (tmp_path / "a.xml").write_text(
        "<annotation><filename>a.jpg</filename><size><width>640</width><height>480</height></size><object>"
        "<name>duckie</name><bndbox><xmin>300</xmin><ymin>330</ymin><xmax>350</xmax><ymax>380</ymax></bndbox>"
        "</object></annotation>"
    )
    assert main(["--from-voc", str(tmp_path), "--out", str(tmp_path), "--robot", "mine"]) == 0
    assert "1 pictures" in capsys.readouterr().out
    assert json.loads((tmp_path / "labels.jsonl").read_text())["robot"] == "mine"
    assert (tmp_path / "contact_sheet.jpg").exists()


def test_what_cannot_be_shown_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--out", str(tmp_path), "--look"]) == 1
    assert capsys.readouterr().err.startswith("data: ")
    with pytest.raises(ValueError, match="at least one frame"):
        contact_sheet(FrameSet([], [], np.zeros(0)))
