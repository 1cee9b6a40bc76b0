// The form's values to a request of the contract, and a recipe back to values. Knows no element of the page.

/** Seconds that pictures drawn here stay: a week, so that yesterday's are found. */
export const RETAIN = "604800s";

/** What the form has a field for; the rest of a recipe is carried along as `extras`. */
const IN_FORM = new Set(["model", "prompt", "negativePrompt", "width", "height", "steps", "guidanceScale", "seed",
  "numImages", "scheduler", "refiner", "acceleration", "promptSyntax", "strength", "image", "mask"]);
const NOT_KEPT = new Set(["requestId", "onDisconnect", "grace", "retain", "stopAtStep"]);

const number = (text) => (text === "" || text === null || text === undefined ? undefined : Number(text));
const unset = (value) => value === undefined || value === "" || Number.isNaN(value);

/** Leaves out what is not set, so that the model's own default counts. */
function compact(record) {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => !unset(value)));
}

/**
 * @param {object} values of the form, as form.js reads them
 * @param {{image?: string, mask?: string}} files base64, for "refine"
 * @returns {{generate: object} | {refine: object}}
 */
export function toRequest(values, files = {}) {
  const acceleration = compact({
    deepCacheInterval: Number(values.deepcache) > 1 ? Number(values.deepcache) : undefined,
    guidanceUntil: values.until !== undefined && Number(values.until) < 1 ? Number(values.until) : undefined,
    tinyDecoder: values.tiny || undefined,
  });
  const asked = compact({
    ...values.extras,
    model: values.model,
    prompt: values.prompt,
    negativePrompt: values.negative,
    width: number(values.width),
    height: number(values.height),
    steps: number(values.steps),
    guidanceScale: number(values.guidance),
    seed: number(values.seed),
    numImages: number(values.count),
    scheduler: values.scheduler,
    refiner: values.refiner ? { model: values.refiner, handoff: Number(values.handoff) } : undefined,
    acceleration: Object.keys(acceleration).length ? acceleration : undefined,
    promptSyntax: values.weighted ? "PROMPT_SYNTAX_WEIGHTED" : undefined,
    retain: RETAIN,
  });
  if (values.mode !== "refine") return { generate: asked };
  return { refine: compact({ ...asked, strength: number(values.strength), image: files.image, mask: files.mask }) };
}

/**
 * A recipe (the request of a job, or out of a PNG) as the form's values.
 * @param {object} recipe
 * @param {number} [count] of pictures, where the recipe does not say it
 */
export function toValues(recipe, count) {
  const acceleration = recipe.acceleration || {};
  return {
    mode: recipe.strength === undefined ? "generate" : "refine",
    model: recipe.model,
    prompt: recipe.prompt || "",
    negative: recipe.negativePrompt || "",
    width: recipe.width ?? "",
    height: recipe.height ?? "",
    steps: recipe.steps ?? "",
    guidance: recipe.guidanceScale ?? "",
    seed: recipe.seed ?? "",
    count: count ?? recipe.numImages ?? 1,
    scheduler: recipe.scheduler || "",
    refiner: recipe.refiner?.model || "",
    handoff: recipe.refiner?.handoff ?? 0.8,
    deepcache: acceleration.deepCacheInterval || 1,
    until: acceleration.guidanceUntil ?? 1,
    tiny: Boolean(acceleration.tinyDecoder),
    weighted: recipe.promptSyntax === "PROMPT_SYNTAX_WEIGHTED",
    strength: recipe.strength ?? 0.6,
    extras: Object.fromEntries(
      Object.entries(recipe).filter(([name]) => !IN_FORM.has(name) && !NOT_KEPT.has(name))),
  };
}

/** A job's own request, to be asked for again: the same pictures. */
export function sameAgain(recipe, method, count, files = {}) {
  const kept = Object.entries(recipe).filter(([name]) => !NOT_KEPT.has(name));
  const asked = compact({ ...Object.fromEntries(kept), numImages: count, retain: RETAIN });
  return method === "refine" ? { refine: { ...asked, ...files } } : { generate: asked };
}

/** A field's path in the server's words to the form's: "generate.num_images" to "num_images". */
export const fieldOf = (path) => path.replace(/^(generate|refine|changes|receipt)\./, "");
