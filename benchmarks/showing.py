"""What people see of a benchmark: its heading and its file, and of a model's a table in the terminal and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Optional

from duck_protection.recording.results import write_json


def heading(result: Dict[str, Any]) -> str:
    """A table's first line: what, which code, where, when."""
    return f"{result['schema']} at {result['commit']}, {result['host']['cores']} cores, {result['date']}"


def tell(result: Dict[str, Any], shown: str, file: Optional[Path]) -> None:
    """A benchmark's end: for people on the terminal, and whole into the file of --json, if there is one."""
    print(shown)
    if file:
        write_json(file, result)


def table(result: Dict[str, Any]) -> str:
    """For people, at most 100 columns."""
    lines = [heading(result)]
    for model in dict.fromkeys(row["model"] for row in result["ways"]):
        head = f"  {'way':44s} {'p50 ms':>9s} {'p95 ms':>9s} {'peak GB':>8s} {'roofline':>9s} {'1/s':>7s}"
        lines += ["", model, head]
        lines += [
            f"  {row['way']:44s} {row['p50_ms']:9.2f} {row['p95_ms']:9.2f} {row['peak_gb']:8.2f}"
            f" {'-' if row['roofline_share'] is None else format(row['roofline_share'], '.1%'):>9s}"
            f" {row['verdicts_per_s']:7.1f}"
            for row in result["ways"] if row["model"] == model
        ]  # fmt: skip
    lines += ["", *(f"{key} {value:.2f}" for key, value in result.items() if isinstance(value, float))]
    return "\n".join(lines)


def picture(result: Dict[str, Any], out: Path) -> None:
    """Bars for each model: the median, and a line up to p95; the roofline where it is in sight."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    models = list(dict.fromkeys(row["model"] for row in result["ways"]))
    groups = [[row for row in result["ways"] if row["model"] == model] for model in models]
    heights = [len(group) for group in groups]
    figure, axes = pyplot.subplots(
        len(models), 1, figsize=(9, 1.6 * len(models) + 0.34 * sum(heights)), height_ratios=heights, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for axis, model, group in zip(axes[:, 0], models, groups):
        names = [row["way"] for row in group]
        medians = [row["p50_ms"] for row in group]
        colours = ["#b8b8b8" if name.startswith(("generate", "guide", "plain")) else "#e0a100" for name in names]
        axis.barh(names, medians, color=colours)
        axis.hlines(names, medians, [row["p95_ms"] for row in group], color="#555555")
        for name, median in zip(names, medians):
            axis.annotate(f" {_short(median)}", (median, name), va="center", ha="left", fontsize=8,
                          bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.8})  # fmt: skip
        ideal = next(row["roofline_share"] * row["p50_ms"] for row in group if row["batch"] == 1)
        axis.axvline(ideal, color="#b03030", linestyle=":")
        axis.set_title(f"{model}\ndotted: the roofline of one verdict, {_short(ideal)}", loc="left", fontsize=10)
        axis.margins(y=0.01)
        axis.set_xlim(0, max(row["p95_ms"] for row in group) * 1.15)
        axis.set_xlabel("ms, from JPEG bytes to an answer (p50; line to p95)")
        axis.invert_yaxis()
        axis.spines[["top", "right"]].set_visible(False)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110)
    pyplot.close(figure)


def _short(ms: float) -> str:
    return f"{ms:.3g} ms" if ms < 1000 else f"{ms / 1000:.3g} s"
