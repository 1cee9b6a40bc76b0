// Choosing what to hold beside a picture: another one of the sheet, or the same drawn by another model or seed.
import * as compare from "./compare.js";
import { byId, make } from "./dom.js";
import * as models from "./models.js";
import { requestOf } from "./words.js";

let held = null; // {id, index}
let awaited = null; // the id of the job that is drawn for it
let drawAgain = () => {};

/** `again(job, changes)` draws a job's recipe with changes, and gives the new job. */
export function start(again) {
  drawAgain = again;
}

export const isPicking = () => held !== null;

/** Asks for the other picture. */
export function begin(job, index) {
  held = { id: job.id, index };
  awaited = null;
  const asked = requestOf(job);
  const twin = models.twin(asked.model);
  const others = models.all().map((model) => model.name).filter((name) => name !== asked.model);
  const select = make("select", { "aria-label": "Draw it with" },
    make("option", { value: "seed" }, "the next seed"),
    ...others.map((name) => make("option", { value: name }, name === twin ? `${name} (the same, ${models.isQuantized(name) ? "8 bits" : "not quantized"})` : name)));
  if (twin) select.value = twin;
  const draw = make("button", { type: "button", id: "pick-draw", onclick: async () => {
    const kept = held;
    const started = await drawAgain(job, index, select.value);
    if (!started) return;
    held = kept;
    awaited = started.id;
    say("It is drawn; then both are shown.");
  } }, "Draw");
  const place = byId("picking");
  place.replaceChildren(make("p", {}, "Choose the other picture here, or draw it again with"), select, draw,
    make("button", { type: "button", className: "plain", onclick: end }, "Never mind"));
  place.hidden = false;
  document.body.classList.add("picking");
  byId("gallery").scrollIntoView({ block: "start", behavior: "smooth" });
  (document.querySelector('#sheet .tile[tabindex="0"]') || select).focus({ preventScroll: true });
}

function say(text) {
  byId("picking").replaceChildren(make("p", {}, text), make("button", { type: "button", className: "plain", onclick: end }, "Never mind"));
}

export function end() {
  held = null;
  awaited = null;
  byId("picking").hidden = true;
  document.body.classList.remove("picking");
}

/** The other one was chosen. */
export function choose(id, index) {
  const left = held;
  end();
  compare.open(left, { id, index });
}

/** A job has come to its end: perhaps it is the one that was drawn for this. */
export function ended(job) {
  if (!job || job.id !== awaited) return;
  if (job.imagesDone) choose(job.id, 0);
  else end();
}
