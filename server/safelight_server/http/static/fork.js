// Going on from a step of a job that is kept, with other words, guidance or seed.
import * as api from "./api.js";
import { byId, heading, make, open as openDialog } from "./dom.js";
import * as models from "./models.js";
import { RETAIN, fieldOf } from "./request.js";
import { requestOf } from "./words.js";

/** `onFork` gets the new job. */
export function open(job, index, onFork) {
  const dialog = byId("fork-dialog");
  const asked = requestOf(job);
  const steps = (job.checkpoints || []).find((each) => (each.imageIndex ?? 0) === index)?.steps || [];
  const middle = steps.findIndex((step) => step >= job.steps / 3);
  const slider = make("input", { type: "range", id: "fork-step", min: 0, max: steps.length - 1, step: 1, value: Math.max(0, middle) });
  const told = make("output", { htmlFor: "fork-step" });
  const tellStep = () => {
    const step = steps[slider.value];
    told.textContent = `after step ${step} of ${job.steps}`;
    slider.setAttribute("aria-valuetext", told.textContent);
    draw.textContent = `Draw on from step ${step}`;
  };
  const draw = make("button", { type: "submit", className: "main" });
  slider.addEventListener("input", tellStep);

  const prompt = make("textarea", { id: "fork-prompt", rows: 3, value: asked.prompt || "" });
  const guidance = make("input", { type: "number", id: "fork-guidance", min: 0, max: 100, step: 0.5, value: asked.guidanceScale ?? 0 });
  const seed = make("input", { type: "number", id: "fork-seed", min: 0, max: 2 ** 32 - 1, placeholder: "as before" });
  const model = make("select", { id: "fork-model" }, make("option", { value: "" }, `as before (${asked.model})`),
    ...models.all().filter((each) => each.name !== asked.model).map((each) => make("option", { value: each.name }, each.name)));
  const trouble = make("p", { className: "error", role: "alert", hidden: true });

  const form = make("form", { noValidate: true },
    field("step", "Go on", told, slider, "Early: the picture may become another. Late: only details change. The steps that are kept can be chosen."),
    field("prompt", "What to show from here on", null, prompt, "Try another colour, or another background."),
    make("div", { className: "pair" },
      field("guidance_scale", "Guidance", null, guidance, "How closely it keeps to the words."),
      field("seed", "Seed", null, seed, "Only schedulers that add noise take one.")),
    field("model", "Model", null, model, "One with the same latent space."),
    trouble, make("div", { className: "buttons" }, draw));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    clear(form, trouble);
    draw.disabled = true;
    try {
      const changes = {};
      if (prompt.value !== (asked.prompt || "")) changes.prompt = prompt.value;
      if (Number(guidance.value) !== (asked.guidanceScale ?? 0)) changes.guidanceScale = Number(guidance.value);
      if (seed.value !== "") changes.seed = Number(seed.value);
      if (model.value) changes.model = model.value;
      const started = await api.fork(job.id, { step: steps[slider.value], imageIndex: index, changes, retain: RETAIN });
      dialog.close();
      onFork(started);
    } catch (error) {
      refuse(form, trouble, error);
    } finally {
      draw.disabled = false;
    }
  });
  form.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.stopPropagation(); form.requestSubmit(); } });
  tellStep();
  dialog.replaceChildren(heading(dialog, "Fork from a step"), form);
  openDialog(dialog);
  slider.focus();
}

function field(name, label, output, input, hint) {
  const hintId = `${input.id}-hint`;
  input.setAttribute("aria-describedby", hintId);
  return make("div", { className: "field", dataset: { field: name } }, make("label", { htmlFor: input.id }, `${label} `, output), input,
    make("p", { className: "hint", id: hintId }, hint));
}

function clear(form, trouble) {
  for (const text of form.querySelectorAll(".field > .error")) text.remove();
  trouble.hidden = true;
}

function refuse(form, trouble, error) {
  let found = false;
  for (const [path, text] of Object.entries(error.fields)) {
    const place = form.querySelector(`[data-field="${CSS.escape(fieldOf(path))}"]`);
    place?.append(make("p", { className: "error" }, text));
    found ||= Boolean(place);
  }
  if (found) return;
  trouble.textContent = error.message;
  trouble.hidden = false;
}
