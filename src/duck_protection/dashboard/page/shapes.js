// The shape and the word of each level: told apart without colour, as in the films (recording/icons.py).

export const LEVELS = ["UNKNOWN", "CLEAR", "SLOW", "STOP"];

const SHAPES = {
  UNKNOWN: '<path class="body" d="M32 6 58 32 32 58 6 32z"/><path class="mark" d="M25 25.500a7 7 0 1 1 10.500 6Q32 33.500 32 37"/><circle class="dot" cx="32" cy="46" r="3.200"/>',
  CLEAR: '<circle class="body" cx="32" cy="32" r="25"/><path class="mark" d="M21 33l8 8 14-16"/>',
  SLOW: '<path class="body" d="M32 6 60 56H4z"/><path class="mark" d="M32 25v14"/><circle class="dot" cx="32" cy="47" r="3.200"/>',
  STOP: '<path class="body" d="M21 6h22l15 15v22L43 58H21L6 43V21z"/><path class="mark" d="M19 32h26"/>',
};
SHAPES.HIT = '<path class="body" d="M32 3l7 14 15-5-4 15 12 9-15 4-1 16-14-9-14 9-1-16-15-4 12-9-4-15 15 5z"/><path class="mark" d="M25 26l14 14M39 26L25 40"/>';
SHAPES.RECORDING = '<rect class="body" x="6" y="12" width="52" height="40" rx="6"/><path class="dot" d="M26 22l16 10-16 10z"/>';

export function draw(svg, name) {
  if (svg.dataset.name === name) return;
  svg.dataset.name = name;
  svg.innerHTML = SHAPES[name] ?? SHAPES.UNKNOWN;
}

export function shape(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 64 64");
  svg.setAttribute("class", "shape");
  svg.setAttribute("aria-hidden", "true");
  draw(svg, name);
  return svg;
}
