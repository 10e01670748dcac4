// A minute of one robot: level, probabilities, age and latency, speed. Lines differ in dash as well as in colour.

import { LEVELS } from "./shapes.js";

const ROWS = [
  { title: "level", height: 56, paint: levels },
  { title: "probability", height: 46, paint: shares, top: () => 1, unit: "1" },
  { title: "ms", height: 46, paint: ages, top: (samples) => Math.max(400, ...samples.map((s) => Math.min(s.age ?? 0, 2000))) },
  { title: "m/s", height: 46, paint: speeds, top: (samples) => Math.max(0.2, ...samples.map((s) => Math.max(s.permitted ?? 0, s.asked ?? 0))) },
];
const LEFT = 62, RIGHT = 8, GAP = 17;
const DASHES = [[], [5, 3], [1.5, 2.5]];

export function paint(canvas, samples, choices, levels, seconds) {
  const width = canvas.clientWidth, height = ROWS.reduce((sum, row) => sum + row.height + GAP, 4);
  const scale = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.style.height = `${height}px`;
  }
  const pen = canvas.getContext("2d");
  const css = getComputedStyle(canvas);
  const colour = (name) => css.getPropertyValue(`--${name}`);
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = "11px system-ui, sans-serif";
  const end = samples.length ? samples[samples.length - 1].t : 0;
  const x = (t) => LEFT + (width - LEFT - RIGHT) * (1 - (end - t) / seconds);
  const place = { pen, x, right: width - RIGHT, colour, choices, levels };
  let top = GAP;
  for (const row of ROWS) {
    const high = row.top ? row.top(samples) : 1;
    frame(place, row, top, high);
    if (samples.length > 1) row.paint({ ...place, y: (share) => top + row.height * (1 - share), height: row.height, high }, samples);
    top += row.height + GAP;
  }
}

function frame({ pen, right, colour }, row, top, high) {
  pen.fillStyle = colour("sunk");
  pen.fillRect(LEFT, top, right - LEFT, row.height);
  pen.fillStyle = colour("muted");
  pen.textAlign = "right";
  if (row.top) {
    pen.fillText(high >= 10 ? high.toFixed(0) : high.toFixed(high === 1 ? 0 : 2), LEFT - 6, top + 9);
    pen.fillText("0", LEFT - 6, top + row.height);
    pen.fillText(row.title === "probability" ? "share" : row.title, LEFT - 6, top + row.height / 2 + 4);
  }
}

function legend(place, names) {
  const { pen, colour, y } = place;
  let x = LEFT;
  pen.textAlign = "left";
  for (const [name, stroke, dash] of names) {
    pen.strokeStyle = stroke;
    pen.setLineDash(dash);
    pen.lineWidth = 2;
    pen.beginPath();
    pen.moveTo(x, y(1) - 6);
    pen.lineTo(x + 18, y(1) - 6);
    pen.stroke();
    pen.fillStyle = colour("muted");
    pen.fillText(name, x + 22, y(1) - 3);
    x += 22 + pen.measureText(name).width + 14;
  }
  pen.setLineDash([]);
}

function line(place, samples, value, stroke, dash) {
  const { pen, x, y, high } = place;
  pen.strokeStyle = stroke;
  pen.setLineDash(dash);
  pen.lineWidth = 1.6;
  pen.beginPath();
  let drawing = false;
  for (const sample of samples) {
    const v = value(sample);
    if (v === null || v === undefined || x(sample.t) < LEFT) {
      drawing = false;
      continue;
    }
    const at = y(Math.min(1, Math.max(0, v / high)));
    if (drawing) pen.lineTo(x(sample.t), at);
    else pen.moveTo(x(sample.t), at);
    drawing = true;
  }
  pen.stroke();
  pen.setLineDash([]);
}

function levels(place, samples) {
  const { pen, x, y, height, colour, right } = place;
  pen.textAlign = "right";
  const row = height / 4;
  LEVELS.forEach((name, level) => {
    pen.fillStyle = colour("muted");
    pen.font = "9.5px system-ui, sans-serif";
    pen.fillText(name, LEFT - 6, y(level / 4) - 3);
  });
  pen.font = "11px system-ui, sans-serif";
  for (let index = 0; index < samples.length; ) {
    const { level, t } = samples[index];
    while (index < samples.length && samples[index].level === level) index += 1; // one block a run: no seams
    const from = Math.max(LEFT, x(t)), to = index < samples.length ? x(samples[index].t) : right;
    if (to < LEFT) continue;
    pen.fillStyle = colour(LEVELS[level].toLowerCase());
    pen.fillRect(from, y((level + 1) / 4), Math.max(1, to - from), row - 1);
  }
}

function shares(place, samples) {
  const lines = place.choices.map((word, index) => [word, place.colour((LEVELS[place.levels[word]] ?? "unknown").toLowerCase()), DASHES[index % 3]]);
  legend(place, lines);
  lines.forEach(([, stroke, dash], index) => line(place, samples, (sample) => sample.p[index], stroke, dash));
}

function ages(place, samples) {
  const lines = [["age of the evidence now", place.colour("ink"), [], "age"], ["frame to verdict", place.colour("accent"), [5, 3], "late"]];
  legend(place, lines);
  for (const [, stroke, dash, name] of lines) line(place, samples, (sample) => sample[name], stroke, dash);
}

function speeds(place, samples) {
  const lines = [["permitted", place.colour("accent"), [], "permitted"], ["asked for", place.colour("muted"), [5, 3], "asked"]];
  legend(place, lines);
  for (const [, stroke, dash, name] of lines) line(place, samples, (sample) => sample[name], stroke, dash);
}
