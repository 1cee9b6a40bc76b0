// The form: its values, what the chosen model allows, errors at their fields; and it is kept when the page goes.
import { byId, keep, kept, make, tell } from "./dom.js";
import * as models from "./models.js";
import { clearError, clearErrors, linkHints } from "./field_errors.js";

const TEXTS = ["prompt", "negative", "width", "height", "steps", "guidance", "seed", "count", "scheduler", "refiner",
  "handoff", "deepcache", "until", "strength"];
const CHECKS = ["tiny", "weighted"];
const OF_A_MODEL = ["width", "height", "steps", "guidance", "scheduler", "refiner", "handoff"]; // remembered for each

let extras = {};
let memory = {}; // by model: what was set for it
let current = "";
let changed = () => {};

/** Reads what was kept, and listens. `onChange` is called after each change. */
export function start(onChange) {
  fillModels();
  linkHints();
  memory = kept("models", {});
  const values = kept("form", null);
  chooseModel(values?.model);
  if (values) write(values);
  changed = onChange;
  const form = byId("form");
  form.addEventListener("input", (event) => {
    clearError(event.target.closest("[data-field]")?.dataset.field);
    after();
  });
  byId("model").addEventListener("change", () => chooseModel(chosen()));
  byId("quantized").addEventListener("change", () => chooseModel(chosen(), true));
  byId("refiner").addEventListener("change", after);
  for (const radio of form.elements.mode) radio.addEventListener("change", after);
  byId("die").addEventListener("click", () => {
    byId("seed").value = crypto.getRandomValues(new Uint32Array(1))[0];
    after();
  });
  byId("reset").addEventListener("click", () => { ownSettings(); after(); });
  for (const shape of form.querySelectorAll("[data-shape]")) {
    shape.addEventListener("click", () => setShape(...shape.dataset.shape.split(":").map(Number)));
  }
  after();
}

/** The values of the form, as request.js takes them. */
export function read() {
  const values = { mode: byId("form").elements.mode.value, model: current, extras };
  for (const name of TEXTS) values[name] = byId(name).value.trim();
  for (const name of CHECKS) values[name] = byId(name).checked;
  const model = models.named(current);
  if (!model?.hasDeepCache) values.deepcache = "1";
  if (!model?.hasTinyDecoder) values.tiny = false;
  if (byId("until-field").hidden) values.until = "1";
  return values;
}

/** Puts values into the form; those that are not there stay. */
export function write(values) {
  if (values.model && models.named(values.model)) chooseModel(values.model);
  if (values.mode) byId("form").elements.mode.value = values.mode;
  for (const name of TEXTS) if (values[name] !== undefined) byId(name).value = values[name];
  for (const name of CHECKS) if (values[name] !== undefined) byId(name).checked = values[name];
  if (values.extras) extras = values.extras;
  clearErrors();
  after();
}

export const model = () => models.named(current);
export const setMode = (mode) => { byId("form").elements.mode.value = mode; after(); };
export const setSize = ({ width, height }) => { byId("width").value = width; byId("height").value = height; after(); };

function setShape(across, down) {
  setSize(models.sizeFor(model(), across / down));
}

function fillModels() {
  byId("model").replaceChildren(...models.choices().map((name) => make("option", { value: name }, name)));
}

/** The model that select and switch mean together. */
function chosen() {
  const name = byId("model").value;
  return byId("quantized").checked ? models.twin(name) || name : name;
}

function chooseModel(name, sameFamily = false) {
  const next = models.named(name) || models.first();
  if (!next || next.name === current) return after();
  if (current) memory[current] = Object.fromEntries(OF_A_MODEL.map((field) => [field, byId(field).value]));
  current = next.name;
  const twin = models.twin(current);
  byId("model").value = models.isQuantized(current) && twin ? twin : current;
  byId("quantized").checked = models.isQuantized(current);
  byId("quantized-row").hidden = !twin;
  tell(byId("model-hint"), models.describe(next));
  fillOptions(next);
  if (!sameFamily) {
    ownSettings();
    const before = memory[current] || {};
    for (const field of OF_A_MODEL) if (before[field] !== undefined) byId(field).value = before[field];
  }
  return after();
}

function fillOptions(next) {
  const { limits, defaults } = next;
  const scheduler = byId("scheduler").value;
  byId("scheduler").replaceChildren(make("option", { value: "" }, `the model's own (${defaults.scheduler})`),
    ...(next.schedulers || []).map((name) => make("option", { value: name }, name)));
  byId("scheduler").value = (next.schedulers || []).includes(scheduler) ? scheduler : "";
  const refiners = next.refiners || [];
  const refiner = byId("refiner").value;
  byId("refiner").replaceChildren(make("option", { value: "" }, "none"),
    ...refiners.map((name) => make("option", { value: name }, name)));
  byId("refiner").value = refiners.includes(refiner) ? refiner : "";
  byId("refiner-field").hidden = !refiners.length;
  for (const edge of ["width", "height"]) {
    Object.assign(byId(edge), { min: limits.minEdge, max: limits.maxEdge, step: limits.edgeMultiple });
  }
  byId("steps").max = limits.maxSteps;
  byId("count").max = limits.maxImages;
  byId("steps-hint").textContent = `More is finer, and slower. Its own: ${defaults.steps}.`;
  byId("guidance-hint").textContent = `How closely it keeps to the words. Its own: ${defaults.guidanceScale ?? 0}.`;
  byId("size-hint").textContent =
    `In pixels, multiples of ${limits.edgeMultiple}. It learned ${defaults.width} × ${defaults.height}.`;
  byId("prompt-hint").textContent = next.name.startsWith("demo-")
    ? "The demo models know emoji on plain backgrounds: an owl on a teal background." : "";
  byId("deepcache-field").hidden = !next.hasDeepCache;
  byId("tiny-field").hidden = !next.hasTinyDecoder;
}

/** Size, steps, guidance and the rest as the model is made for. */
function ownSettings() {
  const { defaults } = model();
  const own = { width: defaults.width, height: defaults.height, steps: defaults.steps, guidance: defaults.guidanceScale ?? 0,
    scheduler: "", refiner: "", handoff: 0.8, deepcache: 1, until: 1 };
  for (const [field, value] of Object.entries(own)) byId(field).value = value;
  byId("tiny").checked = false;
  extras = {};
}

/** What follows from the values. */
function after() {
  const mode = byId("form").elements.mode.value;
  byId("source").hidden = mode !== "refine";
  byId("handoff-field").hidden = !byId("refiner").value;
  byId("until-field").hidden = Number(byId("guidance").value) <= 1;
  byId("faster").hidden = !["deepcache-field", "until-field", "tiny-field"].some((id) => !byId(id).hidden);
  byId("strength-out").textContent = `${Math.round(byId("strength").value * 100)} %`;
  byId("handoff-out").textContent = `${Math.round(byId("handoff").value * 100)} %`;
  byId("until-out").textContent = byId("until").value === "1" ? "all" : `${Math.round(byId("until").value * 100)} %`;
  byId("deepcache-out").textContent = byId("deepcache").value === "1" ? "(off)" : byId("deepcache").value;
  showExtras();
  keep("form", read());
  keep("models", { ...memory, [current]: Object.fromEntries(OF_A_MODEL.map((field) => [field, byId(field).value])) });
  changed();
}

function showExtras() {
  const names = Object.keys(extras);
  byId("extras").hidden = !names.length;
  byId("extras").replaceChildren(`From the recipe, too: ${names.join(", ")} `,
    make("button", { type: "button", className: "plain", onclick: () => { extras = {}; after(); } }, "leave out"));
}
