"""The stand-in for Duckietown's messages has the real ones' md5 sums: else a robot would refuse every connection."""
from __future__ import annotations

from pathlib import Path

import pytest

genmsg = pytest.importorskip("genmsg", reason="the messages' sums are computed by ROS")

FOLDER = Path(__file__).parents[2] / "compat" / "duckietown_msgs" / "msg"
REAL = {  # of Duckietown's dt-ros-commons, daffy; only StopLineReading differs in ente
    "BoolStamped": "542e22b190dc8e6eb476d50dda88feb7",
    "LanePose": "382fe0e0d5dea7350bfa93535592e68a",
    "StopLineReading": "735fe9e9ff1e4d7460bbf69ab2720ae0",
    "Twist2DStamped": "3fc0942a3082e78d7ded4a58ea1e2d0c",
    "WheelsCmdStamped": "edbf8d24194d839b1982a6a991b552c6",
}
SHARE = Path("/usr/share")  # Debian's; a ROS of /opt has them beside its own
FOUND = {name: [str(SHARE / name / "msg")] for name in ("std_msgs", "geometry_msgs")}


@pytest.mark.parametrize("name", sorted(REAL))
def test_the_md5_sum_is_the_real_ones(name: str) -> None:
    context = genmsg.MsgContext.create_default()
    text = (FOLDER / f"{name}.msg").read_text()
    spec = genmsg.msg_loader.load_msg_from_string(context, text, f"duckietown_msgs/{name}")
    genmsg.load_depends(context, spec, FOUND)
    assert genmsg.compute_md5(context, spec) == REAL[name]


def test_every_message_is_compared() -> None:
    assert {path.stem for path in FOLDER.glob("*.msg")} == set(REAL)
