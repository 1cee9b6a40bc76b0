// Two finished pictures side by side, under a slider: their settings, their times, and how far apart their pixels are.
import * as api from "./api.js";
import { byId, heading, make, open as openDialog } from "./dom.js";
import { difference } from "./difference.js";
import { story } from "./events.js";
import * as facts from "./facts.js";
import { Live } from "./live.js";
import { requestOf } from "./words.js";

/**
 * @param {{id: string, index: number}} left
 * @param {{id: string, index: number}} right
 */
export async function open(left, right) {
  const dialog = byId("compare");
  dialog.replaceChildren(heading(dialog, "Side by side"), make("p", { className: "quiet" }, "…"));
  openDialog(dialog);
  try {
    const sides = await Promise.all([left, right].map(side));
    if (dialog.open) fill(dialog, sides);
  } catch (error) {
    dialog.lastChild.textContent = error.message;
  }
}

/** All of one side: the job, its events, the file. */
async function side({ id, index }) {
  const [job, told, file] = await Promise.all([api.getJob(id), story(id), api.imageFile(id, index)]);
  const live = new Live(id);
  for (const [name, event] of told) live.hear(name, event);
  const bitmap = await createImageBitmap(file);
  return { job, index, live, bitmap, facts: new Map(facts.of(job, live, index)) };
}

function fill(dialog, sides) {
  const [left, right] = sides;
  const image = ({ job, index }, name) =>
    make("img", { src: api.imageUrl(job.id, index), alt: `${name}: ${requestOf(job).prompt || "a picture"}` });
  const apart = make("canvas", { hidden: true, role: "img", "aria-label": "Where they differ: the brighter, the more" });
  const stack = make("div", { className: "stack" }, image(left, "Left"), make("div", { className: "over" }, image(right, "Right")), apart,
    make("span", { className: "tag left" }, "left"), make("span", { className: "tag right" }, "right"));
  const slider = make("input", { type: "range", min: 0, max: 100, value: 50, "aria-label": "Where the left one ends" });
  const cut = () => stack.style.setProperty("--cut", `${slider.value}%`);
  slider.addEventListener("input", cut);
  drag(stack, slider, cut);
  const ratio = left.bitmap.width / left.bitmap.height;
  const pan = make("div", { className: "pan" }, stack, slider);
  pan.style.setProperty("--ratio", String(ratio));
  cut();

  const figure = difference(left.bitmap, right.bitmap, apart);
  const text = figure
    ? figure.max === 0 ? "Every pixel is the same." : `They differ by ${figure.mean.toFixed(2)} of 255 on average, by ${figure.max} at most.`
    : "They have different sizes: their pixels cannot be held against each other.";
  const where = make("button", { type: "button", "aria-pressed": "false", hidden: !figure?.max, onclick: () => {
    apart.hidden = !apart.hidden;
    where.setAttribute("aria-pressed", String(!apart.hidden));
  } }, "Show where");
  const swap = make("button", { type: "button", onclick: () => fill(dialog, [right, left]) }, "Swap");
  dialog.replaceChildren(heading(dialog, "Side by side"), pan,
    make("div", { className: "buttons" }, make("p", { id: "difference" }, text), where, swap), ...settings(left, right));
  slider.focus();
}

/** The slider follows a pointer on the picture itself. */
function drag(stack, slider, cut) {
  const move = (event) => {
    if (!event.buttons) return;
    const box = stack.getBoundingClientRect();
    slider.value = String((100 * (event.clientX - box.left)) / box.width);
    cut();
  };
  stack.addEventListener("pointerdown", (event) => { stack.setPointerCapture(event.pointerId); move(event); });
  stack.addEventListener("pointermove", move);
}

/** What differs, in rows; what is the same, in a line. */
function settings(left, right) {
  const value = (one, name) => (name === "words" ? requestOf(one.job).prompt || "" : one.facts.get(name) ?? "–");
  const names = [...new Set(["words", "model", "time", ...left.facts.keys(), ...right.facts.keys()])];
  const [same, apart] = [[], []];
  for (const name of names) (value(left, name) === value(right, name) ? same : apart).push(name);
  const rows = apart.map((name) => make("tr", {}, make("th", { scope: "row" }, name),
    make("td", {}, value(left, name)), make("td", {}, value(right, name))));
  const head = make("tr", {}, make("td", {}), make("th", { scope: "col" }, "left"), make("th", { scope: "col" }, "right"));
  return [rows.length ? make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)) : "",
    make("p", { className: "hint" }, `The same in both: ${same.map((name) => `${name} ${value(left, name)}`).join(", ")}.`)];
}
