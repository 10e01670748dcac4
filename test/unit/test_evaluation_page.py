"""One evaluation by the command itself: its JSON, the record, the card, the table, and the page in a real browser."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from duck_protection.learning import card, evaluation, evaluation_page
from duck_protection.learning.evaluate import main

ROOT = Path(__file__).resolve().parents[2]
DUCKLING = ROOT / "models" / "duckling"
LEVELS = {"CLEAR": 1.4, "SLOW": 0.7, "STOP": 0.2}


def pictures(folder: Path, lines: list) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(4)
    for line in lines:
        Image.fromarray(rng.integers(0, 200, (120, 160, 3)).astype(np.uint8)).save(folder / line["file"])
    (folder / "labels.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`./run evaluate` of the duckling on noise, rendered and photographed; thresholds from other frames."""
    made = tmp_path_factory.mktemp("evaluation")
    rendered = [
        {"file": f"{n}.jpg", "level": level, "map": f"town {n // 3}", "split": "held<b>out",
         "ducks": [{"along_m": LEVELS[level], "offset_m": 0.0}]}
        for n, level in enumerate(list(LEVELS) * 8)
    ]  # fmt: skip
    photographs = [
        {"file": f"{n}.jpg", "robot": "ab"[n % 2], "split": "test", "lane_label": ["own_lane", "off_road"][n // 2 % 2]}
        for n in range(8)
    ]
    data = [pictures(made / "rendered", rendered), pictures(made / "photographs", photographs)]
    others = pictures(made / "others", rendered)
    shutil.copy(DUCKLING / "README.md", made / "card.md")
    (made / "thresholds.yaml").write_text("# Why.\n[]\n")
    out = ["--json", str(made / "found.json"), "--html", str(made / "page.html"), "--card", str(made / "card.md")]
    more = ["--unseen", str(others), "--write-thresholds", str(made / "thresholds.yaml"), "--answers", "5"]
    questions = ["--questions", str(ROOT / "config" / "questions.yaml"), "--device", "cpu"]
    assert main([str(DUCKLING), str(data[0]), f"{data[1]}:test", *more, *out, *questions]) == 0
    return made


def found(folder: Path) -> dict:
    return json.loads((folder / "found.json").read_text())


def test_the_json_has_the_names_that_others_read(folder: Path) -> None:
    told = found(folder)
    assert told["n"] == 24 and told["schema"] == "evaluation/1" and told["command"].startswith("./run evaluate ")
    for name in ("accuracy", "stop_recall", "stop_judged_clear", "danger_recall", "false_stop_frames"):
        assert 0 <= told[name] <= 1
        count = told["counts"][name]
        assert count["value"] == pytest.approx(told[name]) and count["low"] <= count["value"] <= count["high"]
    assert [(one["name"], one["kind"]) for one in told["sets"]] == [
        ("rendered", "rendered"), ("photographs:test", "photographs"),
    ]  # fmt: skip
    photographs = told["sets"][1]
    assert (photographs["counts"]["danger_recall"]["of"], photographs["counts"]["false_stop_frames"]["of"]) == (4, 4)
    assert set(photographs["parts"]["source"]) == {"a", "b"}
    assert set(told["calibration"]) == {"CLEAR", "STOP"} and told["answers"]["n"] == 5


def test_the_record_is_the_chosen_one_and_the_next_evaluation_uses_it(folder: Path, tmp_path: Path) -> None:
    (entry,) = yaml.safe_load((folder / "thresholds.yaml").read_text())
    assert entry == found(folder)["thresholds"] and entry["n"] == 24
    data, record = str(folder / "photographs"), str(folder / "thresholds.yaml")
    out = ["--json", str(tmp_path / "again.json"), "--html", str(tmp_path / "page.html"), "--thresholds", record]
    assert main([str(DUCKLING), data, "--device", "cpu", "--questions", str(ROOT / "config/questions.yaml"), *out]) == 0
    again = json.loads((tmp_path / "again.json").read_text())
    assert again["thresholds"] == entry and again["origin"].startswith("the record of ")
    assert again["answers"] is None  # photographs have no truth for free questions


def test_the_card_keeps_what_people_wrote(folder: Path, tmp_path: Path) -> None:
    before, after = (DUCKLING / "README.md").read_text(), (folder / "card.md").read_text()
    assert after.split(card.BEGIN)[0] == before.split(card.BEGIN)[0]
    assert after.split(card.END)[1] == before.split(card.END)[1]
    assert "| photographs:test | " in after and "| frames | 24 | " in after and "| how many ducks | " in after
    (tmp_path / "bare.md").write_text("# A card\n")
    with pytest.raises(ValueError, match="no lines"):
        card.write(tmp_path / "bare.md", found(folder))


def test_the_shipped_cards_measured_part_is_of_the_shipped_model() -> None:
    text = (DUCKLING / "README.md").read_text().split(card.BEGIN)[1].split(card.END)[0]
    revisions = [one["revision"] for one in yaml.safe_load((ROOT / "config" / "thresholds.yaml").read_text())]
    assert re.search(r"Revision (\w+)", text)[1] in revisions


def test_the_table_fits_a_hundred_columns(folder: Path) -> None:
    lines = evaluation_page.table(found(folder)).splitlines()
    assert max(map(len, lines[3:])) <= 100  # above stands where the thresholds come from
    assert any(line.startswith("photographs:test ") for line in lines)


def test_a_wrong_folder_ends_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(DUCKLING), str(tmp_path), "--questions", str(ROOT / "config" / "questions.yaml")]) == 1
    assert "has no labels.jsonl: render frames (./run data" in capsys.readouterr().err


def evaluated(*arguments: str) -> int:
    return main([str(DUCKLING), *arguments, "--device", "cpu", "--questions", str(ROOT / "config" / "questions.yaml")])


@pytest.mark.parametrize(
    ("reported", "chosen_on"),
    [("rendered", ["--validation", "rendered"]), ("rendered", ["--unseen", "others", "others/../rendered"]),
     ("photographs", ["--validation", "photographs:test"]), ("photographs:test", ["--unseen", "photographs"])],
)  # fmt: skip
def test_a_set_that_is_reported_is_never_chosen_on(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], reported: str, chosen_on: list[str]
) -> None:
    """The page and the card said of such frames that training never saw them."""
    option, *names = chosen_on
    out = ["--html", str(tmp_path / "page.html")]
    assert evaluated(str(folder / reported), option, *(str(folder / name) for name in names), *out) == 1
    error = capsys.readouterr().err
    assert error.startswith("evaluate: ") and "is to be reported, and" in error and error.count("\n") == 1


def test_two_splits_of_a_folder_may_be_reported_and_chosen_on() -> None:
    evaluation.check_apart(["here:test", "there"], ["here:train", "elsewhere"])


def test_a_set_of_which_training_keeps_nothing_back_is_refused_before_anything_is_read(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Eight looks: it ended in a traceback, or, beside a larger set, was named as one that had chosen too."""
    out = ["--html", str(tmp_path / "page.html"), "--unseen", str(folder / "photographs")]
    assert evaluated(str(folder / "rendered"), "--validation", str(folder / "others"), *out) == 1
    error = capsys.readouterr().err
    assert error.startswith("evaluate: ") and "keeps back nothing" in error and error.count("\n") == 1


def test_levels_without_ducks_are_measured_and_no_free_question_is_asked_about_them(
    folder: Path, tmp_path: Path
) -> None:
    """Such lines may be read; after all the measuring the first free question ended in a KeyError."""
    lines = [{"file": f"{n}.jpg", "level": level} for n, level in enumerate(LEVELS)]
    plain, found = pictures(tmp_path / "plain", lines), tmp_path / "found.json"
    out = ["--html", str(tmp_path / "page.html"), "--json", str(found), "--answers", "2"]
    assert evaluated(str(plain), "--unseen", str(folder / "others"), *out) == 0
    assert json.loads(found.read_text())["n"] == 3 and json.loads(found.read_text())["answers"] is None


def test_weak_numbers_are_called_so(folder: Path) -> None:
    told = evaluation_page.notes(found(folder))
    assert any("rendered has only 8 frames that deserve STOP" in note for note in told)
    assert any("SLOW is as right as STOP" in note for note in told)
    creeping = found(folder)
    creeping["sets"][1]["confusion"][0] = [0, 0, 4, 0]
    assert any("only 0 of 4 frames without danger are judged CLEAR" in note for note in evaluation_page.notes(creeping))


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 400)])
def test_a_real_browser_shows_it(folder: Path, chromium: Any, scheme: str, width: int, tmp_path: Path) -> None:
    """Whole, alone, without a sideways scroll; names from outside are text."""
    page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.goto((folder / "page.html").as_uri())
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == [] and complaints == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert page.locator("figure svg").count() == 2 and page.locator("img").count() >= 1
    assert page.inner_text("h1") == "duckling, measured" and page.locator("td b").count() == 0
    assert (tmp_path / "page.png").write_bytes(page.screenshot(full_page=True)) > 20_000
    page.close()
