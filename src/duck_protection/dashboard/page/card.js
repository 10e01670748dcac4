// One robot: its picture with the verdict on it, its minute, its health, and the two questions a person may ask.

import { LEVELS, draw, shape } from "./shapes.js";
import { paint } from "./timeline.js";

const MINUTE = 60;
const KEPT = 650; // samples: a minute at 10 Hz and some
const STATES = { ok: ["CLEAR", "well"], warn: ["SLOW", "attention"], bad: ["STOP", "trouble"] };

export class Card {
  constructor(name, hello, parent) {
    this.name = name;
    this.hello = hello;
    this.samples = hello.history[name] ?? [];
    this.choices = hello.choices?.[name] ?? [];
    this.root = document.querySelector("#robot").content.firstElementChild.cloneNode(true);
    this.root.dataset.robot = name;
    this.root.classList.toggle("recorded", !hello.live);
    this.find = (selector) => this.root.querySelector(selector);
    this.find("h2").textContent = name;
    this.find(".ask").addEventListener("submit", (event) => this.ask(event));
    this.find(".check").addEventListener("click", () => this.check());
    parent.append(this.root);
    this.redraw();
  }

  take(sample, jpeg) {
    this.samples.push(sample);
    if (this.samples.length > KEPT) this.samples.splice(0, this.samples.length - KEPT);
    this.panel(sample);
    const level = LEVELS[sample.level];
    this.find(".view").dataset.level = level;
    draw(this.find("figcaption .shape"), level);
    this.find("strong").textContent = level;
    this.find(".reason").textContent = sample.reason;
    this.bars(sample.p);
    this.find(".age").textContent = sample.age === null ? "no frame judged" : `evidence ${sample.age} ms old`;
    this.find(".speed").textContent = speedOf(sample);
    if (jpeg) this.show(jpeg);
  }

  show(jpeg) {
    const image = this.find("img"), last = image.src;
    image.src = URL.createObjectURL(new Blob([jpeg], { type: "image/jpeg" }));
    image.alt = `what ${this.name} sees`;
    if (last) setTimeout(() => URL.revokeObjectURL(last), 1000);
    this.find(".blank").hidden = true;
  }

  bars(shares) {
    const bars = this.find(".bars");
    const shown = shares.length ? this.choices : [];
    if ([...bars.children].map((bar) => bar.firstChild.textContent).join("\n") !== shown.join("\n")) {
      bars.replaceChildren(...shown.map((word) => {
        const bar = document.createElement("div");
        bar.innerHTML = "<span></span><i><b></b></i><em></em>";
        bar.firstChild.textContent = word;
        bar.dataset.level = LEVELS[this.hello.levels[word]] ?? "UNKNOWN";
        return bar;
      }));
    }
    shown.forEach((_, index) => {
      const share = shares[index] ?? null; // null: the model gave no number
      bars.children[index].querySelector("b").style.width = `${100 * (share ?? 0)}%`;
      bars.children[index].querySelector("em").textContent = share === null ? "?" : `${(100 * share).toFixed(0)} %`;
    });
  }

  panel(sample) {
    this.choices = sample.choices;
    this.find(".model").textContent = sample.model ? `judged by ${sample.model}` : "";
    const list = this.find(".health");
    sample.health.forEach((part, index) => {
      const item = list.children[index] ?? list.appendChild(document.createElement("li"));
      if (!item.children.length) item.append(shape("UNKNOWN"), document.createElement("b"), document.createElement("span"));
      const [symbol, word] = STATES[part.state];
      item.dataset.state = part.state;
      draw(item.children[0], symbol);
      item.children[1].textContent = part.name;
      item.children[2].textContent = part.words;
      item.setAttribute("aria-label", `${part.name}: ${word}, ${part.words}`);
    });
  }

  redraw() {
    const samples = this.samples;
    const span = this.hello.live || samples.length < 2 ? MINUTE : samples[samples.length - 1].t - samples[0].t;
    const canvas = this.find("canvas");
    paint(canvas, samples, this.choices, this.hello.levels, span);
    const level = samples.length ? LEVELS[samples[samples.length - 1].level] : "nothing";
    canvas.setAttribute("aria-label", `the last minute of ${this.name}: level, probabilities, age, speed; now ${level}`);
  }

  async ask(event) {
    event.preventDefault();
    const question = this.find("input").value.trim();
    if (!question) return;
    await this.post("ask", { question }, (answer) =>
      answer.ok ? `${answer.text}  (picture ${old(answer.age_s, 1e3)}, answered in ${answer.seconds?.toFixed(1) ?? "?"} s)` : answer.text);
  }

  async check() {
    await this.post("check", {}, (answer) => `${LEVELS[answer.level]}: ${answer.reason.replace(/^(clear|slow|stop): /, "")}  (picture ${old(answer.age_ms, 1)})`);
  }

  async post(what, body, words) {
    const output = this.find("output"), buttons = this.root.querySelectorAll("button");
    output.hidden = false;
    output.dataset.state = "waiting";
    output.textContent = "asking …";
    buttons.forEach((button) => { button.disabled = true; });
    try {
      const reply = await fetch(`/api/robots/${encodeURIComponent(this.name)}/${what}`, { method: "POST", body: JSON.stringify(body) });
      if (reply.status === 401) throw new Error("not allowed: reload the page, or open it with its token");
      const answer = await reply.json();
      if (!reply.ok) throw new Error(answer.detail ?? reply.statusText);
      output.textContent = words(answer);
      output.dataset.state = "answered";
    } catch (err) {
      output.textContent = `No answer: ${err.message}`;
      output.dataset.state = "failed";
    }
    buttons.forEach((button) => { button.disabled = false; });
  }
}

function old(age, toMs) {
  return age === null ? "of unknown age" : `${(toMs * age).toFixed(0)} ms old`;
}

function speedOf(sample) {
  if (sample.permitted === null) return "";
  const asked = sample.asked === null ? "" : ` of ${sample.asked.toFixed(2)}`;
  return `permitted ${sample.permitted.toFixed(2)}${asked} m/s`;
}
