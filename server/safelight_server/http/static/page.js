// Puts the page together: what is asked for, what is watched, and what follows from what.
import * as api from "./api.js";
import { byId, calm, make, notice, say, tell } from "./dom.js";
import * as again from "./again.js";
import * as drops from "./drops.js";
import { clearErrors, showError } from "./field_errors.js";
import * as fork from "./fork.js";
import * as form from "./form.js";
import * as gallery from "./gallery.js";
import * as jobs from "./jobs.js";
import * as models from "./models.js";
import * as picking from "./picking.js";
import { toRequest, toValues } from "./request.js";
import * as shelf from "./shelf.js";
import * as snippets from "./snippets.js";
import * as source from "./source.js";
import * as viewer from "./viewer.js";
import { counted, howLong, isActive, methodOf, requestOf, seconds } from "./words.js";

/** Sends a request, and shows its job. Null if it was refused. */
async function submit(request, files) {
  byId("draw").disabled = true;
  try {
    const job = await api.submit(request);
    if (files) shelf.put(job.id, files);
    watchNew(job);
    return job;
  } catch (error) {
    showError(error);
    return null;
  } finally {
    byId("draw").disabled = false;
  }
}

function watchNew(job) {
  jobs.update(job);
  clearErrors();
  show(job.id);
  say("It is drawn now.");
}

function show(id, index = null) {
  viewer.open(id, index);
  const top = byId("frame").getBoundingClientRect().top;
  if (top < 0 || top > innerHeight / 2) byId("stage").scrollIntoView({ block: "start", behavior: "smooth" });
}

async function draw() {
  const values = form.read();
  const files = values.mode === "refine" ? await source.files() : null;
  if (values.mode === "refine" && !files) {
    showError({ fields: { image: "choose a picture to start from" } });
    return;
  }
  await submit(toRequest(values, await source.encoded(files)), files);
}

async function startFrom(file) {
  if (!(await source.take(file))) return;
  form.setMode("refine");
  byId("source").scrollIntoView({ block: "nearest", behavior: "smooth" });
}

function loadRecipe(recipe, file) {
  form.write(toValues(recipe));
  const unknown = recipe.model && !models.named(recipe.model) ? ` It was drawn by ${recipe.model}, which is not served here.` : "";
  if (recipe.strength !== undefined) source.forget("The picture that it started from is not in the file. Drop it here, or");
  const place = byId("form-error");
  place.replaceChildren(`The recipe of ${file.name || "the picture"} is in the form.${unknown} `,
    make("button", { type: "button", className: "plain", onclick: () => { tell(place, ""); startFrom(file); } }, "Start from the picture instead"));
  place.hidden = false;
  byId("draw").focus();
}

/** A part that is painted over is drawn wholly anew, unless somebody chose otherwise. */
function suitStrength(painted) {
  const strength = byId("strength").value;
  if (painted && strength === "0.6") form.write({ strength: 1 });
  if (!painted && strength === "1") form.write({ strength: 0.6 });
}

const estimate = calm(500, async () => {
  const values = form.read();
  if (document.hidden || !values.prompt || values.mode === "refine" || !byId("form").checkValidity()) return tell(byId("estimate"), "");
  try {
    const told = await api.estimate(toRequest(values));
    const wait = seconds(told.wait?.likely);
    const guess = told.isKnown ? "about" : "perhaps";
    const memory = told.fits ? "" : ". The memory may not be enough";
    tell(byId("estimate"), `${guess} ${howLong(seconds(told.work?.likely))}${wait > 1 ? `, after ${howLong(wait)} of others` : ""}${memory}`);
  } catch { tell(byId("estimate"), ""); }
});

/** Deletes at the second press. */
async function remove() {
  const button = byId("delete");
  if (button.dataset.sure !== "yes") {
    button.dataset.sure = "yes";
    button.textContent = "Really delete?";
    setTimeout(() => { button.dataset.sure = ""; button.textContent = "Delete"; }, 4000);
    return;
  }
  const { job } = viewer.current();
  try {
    await api.remove(job.id);
    viewer.close();
    jobs.forget(job.id);
    notice("Deleted");
  } catch (error) { notice(error.message); }
}

function tools() {
  byId("again").addEventListener("click", again.draw);
  byId("fork").addEventListener("click", () => { const { job, index } = viewer.current(); fork.open(job, index, watchNew); });
  byId("hold").addEventListener("click", () => { const { job, index } = viewer.current(); picking.begin(job, index); });
  byId("redraw").addEventListener("click", async () => {
    const { job, index } = viewer.current();
    try {
      await startFrom(await api.imageFile(job.id, index));
      if (!byId("prompt").value) form.write({ prompt: requestOf(job).prompt });
    } catch (error) { notice(error.message); }
  });
  byId("copy").addEventListener("click", async () => {
    const { job, index } = viewer.current();
    const method = methodOf(job);
    const asked = { ...requestOf(job), ...(job.numImages > 1 ? { numImages: job.numImages } : {}) };
    const files = method === "refine" ? await shelf.get(job.id) : null;
    snippets.open({ [method]: asked }, { masked: Boolean(files?.mask), index });
  });
  byId("copy-form").addEventListener("click", async () => {
    const files = await source.files();
    snippets.open(toRequest(form.read()), { masked: Boolean(files?.mask) });
  });
  byId("delete").addEventListener("click", remove);
}

function keys() {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); byId("form").requestSubmit(); }
    if (event.key !== "Escape" || event.target.matches?.('input[type="search"], select')) return;
    if (picking.isPicking()) picking.end();
    else viewer.cancel();
  });
}

/** Starts all parts; the tray may be watching a job already. */
export async function begin() {
  viewer.start((job, live) => {
    say(job?.imagesDone ? `Done: ${counted(job.imagesDone, "picture")}.` : live.failure?.message || "It ended.");
    picking.ended(job);
    estimate();
  }, gallery.select);
  gallery.start((id, index) => (picking.isPicking() ? picking.choose(id, index) : show(id, jobs.find(id) && isActive(jobs.find(id)) ? null : index)));
  again.start(submit, watchNew);
  picking.start(again.drawWith);
  tools();
  keys();
  const listed = jobs.poll();
  await models.load();
  form.start(estimate);
  source.start((size) => form.setSize(models.sizeFor(form.model(), size.width / size.height, size.width * size.height)), suitStrength);
  drops.start(startFrom, loadRecipe);
  byId("form").addEventListener("submit", (event) => { event.preventDefault(); draw(); });
  document.body.classList.add("ready");
  await listed;
  const running = jobs.all().find(isActive);
  if (!viewer.current().live && (running || jobs.all()[0])) show((running || jobs.all()[0]).id);
}
