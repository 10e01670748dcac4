"""The report of a whole comparison, made by the command itself, and opened in a real browser."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from comparison_kit import folder_of, levelled

from duck_protection.comparison import report, shadowing, terminal
from duck_protection.comparison.__main__ import main
from duck_protection.comparison.framework import MEASURES, OF_SIDE
from duck_protection.comparison.meters import NoCard, open_card

ROOT = Path(__file__).resolve().parents[2]
DUCKLING = str(ROOT / "models" / "duckling")
FEW = ["--quick", "--blocks", "2", "--block", "6", "--windows", "1", "--window-s", "1", "--frames", "12"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`./run compare all`, the duckling with itself, on noise: it cannot know anything."""
    made = tmp_path_factory.mktemp("compare")
    data = folder_of(made / "data", levelled(48), size=(640, 480))
    more = ["--data", str(data), "--only", "road", "--only", "yes_no", "--device", "cpu", *FEW]
    assert main(["all", "--a", DUCKLING, "--b", DUCKLING, "--out", str(made / "out"), *more]) == 0
    return made / "out"


def test_every_file_says_where_it_comes_from(folder: Path) -> None:
    for name in ("prompts", "bench", "decision", "report"):
        content = json.loads((folder / f"{name}.json").read_text())
        assert content["schema"] == f"compare-{name}/1"
        assert content["command"].startswith("./run compare all --a ") and content["commit"] and content["date"]
    summary = (folder / "report.md").read_text()
    assert "## Not yet: from duckling, in process (A) to duckling, in process (B)" in summary
    assert "## Benchmark, question road@1" in summary and "./run compare all" in summary


def test_the_report_says_by_itself_what_makes_it_weak(folder: Path) -> None:
    notes = json.loads((folder / "report.json").read_text())["notes"]
    assert any("duckling, in process answers no question better than chance" in note for note in notes)
    assert any("p99 rests on the 1 slowest of 12" in note for note in notes)
    bench = json.loads((folder / "bench.json").read_text())
    small = {**bench, "frame_sizes": ["320x240"], "load_average": {"before": 50.0, "after": 50.0}}
    found = report.notes({"bench": small, "prompts": None})
    assert any("not the robot's 640x480" in note for note in found)
    assert any("kept the machine busy (load average 50.0" in note for note in found)


def test_the_page_needs_nothing_from_anywhere(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', page)
    assert "<script" not in page and "@import" not in page and "url(http" not in page
    assert "#0102" not in page, "a stand-in colour of plots.py was not replaced"


def test_names_from_outside_are_text_and_never_markup(folder: Path) -> None:
    """A server chooses its model's name."""
    parts = {name: json.loads((folder / f"{name}.json").read_text()) for name in ("prompts", "bench", "decision")}
    for side in parts["bench"]["sides"]:
        side["name"] = "<script>alert(1)</script>"
    page = report.page(folder, parts, parts["bench"], ["<b>note</b>"])
    assert "<script" not in page and "<b>note</b>" not in page


def test_a_part_that_is_missing_is_left_out(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "bench.json", tmp_path)
    assert main(["report", "--out", str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text()
    assert "<h2>Benchmark</h2>" in page and "<h2>Questions</h2>" not in page and "<h2>The decision</h2>" not in page


def test_nothing_to_report_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--out", str(tmp_path)]) == 1
    assert "holds nothing to report: ./run compare prompts, or bench, comes first" in capsys.readouterr().err
    assert main(["prompts", "--backend", DUCKLING, "--data", str(tmp_path)]) == 1
    assert "./run render" in capsys.readouterr().err


def test_a_shadows_drive_is_counted(tmp_path: Path, folder: Path) -> None:
    reading = {"model": "new", "infer_ms": 40.0}
    lines = [
        {"stamp_s": 0.2 * n, "driver": {"model": "old", "infer_ms": 20.0}, "shadow": None if n % 10 == 0 else reading,
         "shadow_model": "new", "same": None if n % 10 == 0 else n > 60 or n % 2 == 0, "dropped": n // 2}
        for n in range(200)
    ]  # fmt: skip
    (tmp_path / "readings.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    got = shadowing.summary(tmp_path)
    assert (got["driver"], got["shadow"], got["read"], got["failed"], got["dropped"]) == ("old", "new", 180, 20, 99)
    assert got["same"]["low"] < got["same"]["value"] < got["same"]["high"] and got["shadow_ms"] == [40.0, 40.0]
    shutil.copy(folder / "bench.json", tmp_path)
    assert main(["report", "--out", str(tmp_path), "--shadow", str(tmp_path)]) == 0
    assert "old drove, new was recorded: 180 frames read by both" in (tmp_path / "report.html").read_text()


def test_a_card_is_found_or_the_reason_given() -> None:
    card = open_card()
    assert (card.about() is None) == isinstance(card, NoCard) and card.why


def test_plots_of_more_than_two_contenders_say_that_they_show_two(folder: Path) -> None:
    prompts = json.loads((folder / "prompts.json").read_text())
    said = "of the first two of 3 contenders"
    assert said not in report.page(folder, {"prompts": prompts}, prompts, [])
    third = {**prompts["contenders"][0], "name": "a third"}
    more = {**prompts, "contenders": [{**one, "best": "road@1"} for one in (*prompts["contenders"], third)]}
    page = report.page(folder, {"prompts": more}, more, [])
    assert page.count(said) == 4, "two captions, and two texts for screen readers"


def test_what_a_side_takes_stands_in_every_table(folder: Path) -> None:
    bench = json.loads((folder / "bench.json").read_text())
    page, summary = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    for key, name in OF_SIDE.items():
        kind, shown = MEASURES[name], terminal.plain(bench["sides"][0][key], MEASURES[name].unit)
        assert re.search(rf"<td>{kind.label}</td><td>{re.escape(shown)}</td>", page)
        assert f"| {kind.label} | {shown} |" in summary
        assert re.search(rf"^{name} +{re.escape(shown)} ", terminal.bench_table(bench), re.MULTILINE)


def test_the_page_says_why_there_is_no_card(folder: Path) -> None:
    bench = {**json.loads((folder / "bench.json").read_text()), "card": None, "no_card": "NVML: it is lost"}
    assert "NVML: it is lost" in report.page(folder, {"bench": bench}, bench, [])


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 400), ("dark", 400)])
def test_a_real_browser_shows_it(folder: Path, chromium: Any, scheme: str, width: int, tmp_path: Path) -> None:
    """Whole, alone, without a sideways scroll, with letters that stand out from the paper."""
    page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.goto((folder / "report.html").as_uri())
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == [] and complaints == []
    assert page.inner_text(".answer strong") == "… Not yet"
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert page.evaluate("[...document.querySelectorAll('figure svg')].map(svg => svg.clientHeight > 50)") == [True] * 3
    seen = page.evaluate(COLOURS)
    assert all(contrast(seen["paper"], seen[name]) >= 4.5 for name in ("ink", "soft", "open", "bad")), seen
    assert contrast(seen["paper"], seen["a"]) >= 3 and contrast(seen["paper"], seen["b"]) >= 3
    assert (sum(seen["paper"]) < 200) == (scheme == "dark")
    assert (tmp_path / "page.png").write_bytes(page.screenshot(full_page=True)) > 20_000
    page.close()


COLOURS = """() => {
  const found = {};
  for (const name of ["paper", "ink", "soft", "open", "bad", "a", "b"]) {
    const probe = document.body.appendChild(document.createElement("i"));
    probe.style.color = `var(--${name})`;
    found[name] = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
    probe.remove();
  }
  return found;
}"""


def contrast(one: list, other: list) -> float:
    """WCAG's contrast ratio of two colours, each [red, green, blue] from 0 to 255."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: list) -> float:
    parts = [part / 255 for part in colour]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
