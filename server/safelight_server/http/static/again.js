// A job drawn once more: the same, by another model, or with the next seed; a fork by forking again.
import * as api from "./api.js";
import { byId, notice, tell } from "./dom.js";
import * as form from "./form.js";
import * as models from "./models.js";
import { RETAIN, sameAgain, toValues } from "./request.js";
import * as shelf from "./shelf.js";
import * as source from "./source.js";
import * as viewer from "./viewer.js";
import { methodOf, requestOf, seedOf } from "./words.js";

let submit; // sends a request, and shows its job
let watchNew; // shows a job that is new

export function start(submitting, watching) {
  submit = submitting;
  watchNew = watching;
}

/** A fork is drawn again by forking again. */
async function forkAgain(job, live, changes = {}) {
  const { model, prompt, negativePrompt, guidanceScale, seed, scheduler } = { ...requestOf(job), ...changes };
  const [, parent, image, step] = live.images.get(0)?.receipt?.forkedFrom?.match(/^(\S+) image (\d+) step (\d+)$/) || [];
  if (!parent) return notice("It says no more from which step it was forked"), null;
  try {
    const started = await api.fork(parent, { step: Number(step), imageIndex: Number(image), retain: RETAIN,
      changes: { model, prompt, negativePrompt, guidanceScale, seed, scheduler } });
    watchNew(started);
    return started;
  } catch (error) {
    tell(byId("trouble"), `It was a fork, and cannot be forked again: ${error.message}`);
    return null;
  }
}

/** The same recipe into the form, and drawn. */
export async function draw() {
  const { job, live } = viewer.current();
  const asked = requestOf(job);
  form.write(toValues(asked, job.numImages));
  if (job.forkedFrom) return forkAgain(job, live);
  if (methodOf(job) === "generate") return submit(sameAgain(asked, "generate", job.numImages));
  const files = await shelf.get(job.id);
  if (!files) {
    source.forget("The picture that it started from is not in this browser. Drop it here, or");
    byId("choose").focus();
    return notice("Choose the picture it started from");
  }
  await source.take(files.image, files.mask);
  form.write({ width: asked.width, height: asked.height });
  return submit(sameAgain(asked, "refine", job.numImages, await source.encoded(files)), files);
}

/** The recipe of one picture, drawn by another model or with the next seed. */
export async function drawWith(job, index, what) {
  const asked = { ...requestOf(job), seed: seedOf(job, index) };
  if (what === "seed") asked.seed = (asked.seed + 1) % 2 ** 32;
  else {
    if (what !== models.twin(asked.model)) for (const own of ["steps", "guidanceScale", "scheduler", "refiner", "acceleration"]) delete asked[own];
    asked.model = what;
  }
  if (job.forkedFrom) return forkAgain(job, viewer.current().live, { seed: asked.seed, model: asked.model });
  const files = methodOf(job) === "refine" ? await shelf.get(job.id) : null;
  return submit(sameAgain(asked, methodOf(job), 1, await source.encoded(files)), files);
}
