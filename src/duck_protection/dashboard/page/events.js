// What happened: every STOP, UNKNOWN and hit, with its picture, its reason and its ten seconds of film.

import { shape } from "./shapes.js";

const KINDS = ["STOP", "UNKNOWN", "HIT"];
let all = [], shown = new Set(KINDS.concat("RECORDING")), open = null;

export function setUp() {
  const filter = document.querySelector("#filter");
  for (const kind of KINDS) {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "true");
    button.append(shape(kind), kind);
    button.dataset.level = kind;
    button.addEventListener("click", () => {
      shown.has(kind) ? shown.delete(kind) : shown.add(kind);
      button.setAttribute("aria-pressed", shown.has(kind));
      list();
    });
    filter.append(button);
  }
  const dialog = document.querySelector("#event");
  document.querySelector("#close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => { open = null; document.querySelector("#event-film").replaceChildren(); });
}

export async function refresh() {
  const reply = await fetch("/api/events");
  if (!reply.ok) return;
  all = await reply.json();
  list();
  const again = open && all.find((event) => key(event) === key(open));
  if (again && state(again) !== state(open)) view(again);
}

const key = (event) => `${event.robot}/${event.id}`;
const state = (event) => JSON.stringify([event.files, event.missing, filmWords(event)]);
const url = (event, file) => `/api/events/${encodeURIComponent(event.robot)}/${encodeURIComponent(event.id)}/${file}`;
const time = (event) => new Date(1e3 * event.at_s).toLocaleTimeString();

function list() {
  const events = all.filter((event) => shown.has(event.kind));
  document.querySelector("#no-events").hidden = all.length > 0;
  document.querySelector("#event-list").replaceChildren(...events.map(entry));
}

function entry(event) {
  const item = document.createElement("li"), button = document.createElement("button");
  button.type = "button";
  button.dataset.level = event.kind;
  button.dataset.event = key(event);
  if (event.files.includes("frame.jpg")) {
    const image = document.createElement("img");
    image.loading = "lazy";
    image.alt = "";
    image.src = url(event, "frame.jpg");
    button.append(image);
  } else {
    const blank = document.createElement("span");
    blank.className = "no-picture";
    blank.textContent = "no picture";
    button.append(blank);
  }
  const title = document.createElement("b"), about = document.createElement("span"), reason = document.createElement("small");
  title.append(shape(event.kind), event.kind);
  about.textContent = `${event.robot}, ${time(event)}`;
  reason.textContent = event.reason;
  button.append(title, about, reason);
  button.addEventListener("click", () => view(event));
  item.append(button);
  return item;
}

function view(event) {
  open = event;
  const dialog = document.querySelector("#event"), title = document.querySelector("#event-title");
  dialog.dataset.level = event.kind;
  title.replaceChildren(shape(event.kind), `${event.kind}: ${event.robot}, ${new Date(1e3 * event.at_s).toLocaleString()}`);
  document.querySelector("#event-reason").textContent = event.reason;
  const missing = document.querySelector("#event-missing");
  missing.hidden = !event.missing.length;
  missing.textContent = `Not kept whole: ${event.missing.join("; ")}.`;
  document.querySelector("#event-film").replaceChildren(film(event));
  for (const [id, file] of [["#event-frame", "frame.jpg"], ["#event-bag", "drive.bag"]]) {
    const link = document.querySelector(id);
    link.hidden = !event.files.includes(file);
    link.href = url(event, file);
  }
  document.querySelector("#event-bag").download = `${event.robot}-${event.id}.bag`;
  if (!dialog.open) dialog.showModal();
}

function filmWords(event) {
  if (event.files.includes("clip.mp4")) return "";
  return event.unfinished ? "The film is being made: it needs the seconds after the event, and some to draw them." : "There is no film of this event.";
}

function film(event) {
  if (filmWords(event)) {
    const words = document.createElement("p");
    words.textContent = filmWords(event);
    return words;
  }
  const video = document.createElement("video");
  video.controls = video.autoplay = video.muted = video.loop = video.playsInline = true;
  video.src = url(event, "clip.mp4");
  return video;
}
