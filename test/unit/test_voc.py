"""Pascal VOC annotations become the lines that photographs.py reads; hostile or broken ones are refused whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from duck_protection.learning import photographs
from duck_protection.learning.voc import MOST_BYTES, VocError, import_voc

GOOD = """<annotation><folder>x</folder><filename>{name}</filename>
<size><width>640</width><height>480</height><depth>3</depth></size>
<object><name>duckie</name><bndbox><xmin>300</xmin><ymin>330</ymin><xmax>350.5</xmax><ymax>380</ymax></bndbox></object>
<object><name>Stop sign</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></object>
</annotation>"""


def annotated(folder: Path, text: str, name: str = "a") -> Path:
    (folder / f"{name}.xml").write_text(text)
    Image.new("RGB", (64, 48), (9, 80, 30)).save(folder / f"{name}.jpg")
    return folder


def test_boxes_become_lines_that_teach(tmp_path: Path) -> None:
    annotated(tmp_path, GOOD.format(name="a.jpg"))
    (tmp_path / "missing.xml").write_text(GOOD.format(name="missing.jpg"))
    assert import_voc(tmp_path, tmp_path, {"robot": "mine", "split": "train"}) == 1
    (line,) = photographs.read_lines(tmp_path)
    assert line["file"] == "a.jpg" and line["robot"] == "mine" and line["width"] == 640
    assert line["boxes"][0] == {"name": "Duckie", "box": [300, 330, 350.5, 380]}
    assert line["boxes"][1]["name"] == "Stop sign"
    assert photographs.taught(tmp_path).labels[0]["level"] == "STOP"


def test_a_picture_is_never_looked_for_outside_its_folder(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    annotated(tmp_path, GOOD.format(name="a.jpg"))
    annotated(inner, GOOD.format(name="../a.jpg"), "b")
    import_voc(inner, inner)
    assert [line["file"] for line in photographs.read_lines(inner)] == ["b.jpg"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<annotation><filename>a.jpg</filename></annotation>", "size/width is no number"),
        (GOOD.format(name="a.jpg").replace("350.5", "nan"), "xmax is nan"),
        (GOOD.format(name="a.jpg").replace("350.5", "300"), "a box of no size"),
        ("<annotation>", "no element found"),
        ("<other/>", "<other> is no annotation"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><annotation/>', "need no DOCTYPE"),
        ("<annotation>" + " " * MOST_BYTES + "</annotation>", "larger than"),
    ],
)
def test_a_broken_annotation_is_named_and_nothing_is_written(text: str, says: str, tmp_path: Path) -> None:
    annotated(tmp_path, text)
    with pytest.raises(VocError, match=f"a.xml: .*{says}|a.xml: {says}"):
        import_voc(tmp_path, tmp_path)
    assert not (tmp_path / "labels.jsonl").exists()


def test_nothing_to_import_is_said(tmp_path: Path) -> None:
    with pytest.raises(VocError, match="no annotation below"):
        import_voc(tmp_path, tmp_path)
