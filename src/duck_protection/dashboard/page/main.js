// The live stream: hello, then ten times a second the robots' samples and pictures. Comes back by itself.

import { Card } from "./card.js";
import { refresh, setUp } from "./events.js";

const RETRY_MS = 1000, REDRAW_MS = 200, SILENT_MS = 3000;
let cards = {}, version = -1, heard = 0;

function connect() {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => {
    heard = performance.now();
    if (typeof data === "string") return hello(JSON.parse(data));
    tick(data);
    socket.send("taken"); // the next message but one comes only when this one was taken: never old pictures
  };
  socket.onclose = () => {
    say("lost", "connection lost, trying again");
    setTimeout(connect, RETRY_MS);
  };
}

function hello(about) {
  say("live", about.live ? "live" : "a recording");
  document.querySelector("#title").textContent = about.title;
  document.title = about.title ? `${about.title}: duck protection` : "Duck protection";
  const parent = document.querySelector("#robots");
  parent.replaceChildren();
  cards = Object.fromEntries(Object.keys(about.history).map((name) => [name, new Card(name, about, parent)]));
  version = -1;
}

function tick(data) {
  const length = new DataView(data).getUint32(0, true);
  const about = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  let at = 4 + length;
  const pictures = {};
  for (const [name, size] of Object.entries(about.pictures)) {
    pictures[name] = new Uint8Array(data, at, size);
    at += size;
  }
  for (const [name, sample] of Object.entries(about.robots)) cards[name]?.take(sample, pictures[name]);
  if (about.events !== version) {
    version = about.events;
    refresh();
  }
}

function say(state, words) {
  const place = document.querySelector("#connection");
  place.dataset.state = state;
  place.textContent = words;
  document.body.classList.toggle("lost", state === "lost");
}

setUp();
connect();
setInterval(() => {
  Object.values(cards).forEach((card) => card.redraw());
  if (document.querySelector("#connection").dataset.state === "live" && performance.now() - heard > SILENT_MS) say("lost", "the node is silent");
  else if (document.querySelector("#connection").dataset.state === "lost" && performance.now() - heard < 500) say("live", "live");
}, REDRAW_MS);
