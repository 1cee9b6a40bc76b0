// The models that are served: their limits and defaults, and which two are the same but for 8 bits.
import * as api from "./api.js";
import { notice } from "./dom.js";

const QUANTIZED = /[-_.]?(int8|w8a8|q8)(?=$|[-_.])/i;
const PRECISION = /[-_.]?(fp16|fp32|bf16|f16|f32)(?=$|[-_.])/i;
const KINDS = {
  MODEL_KIND_BASE: "Draws from words, or from a picture",
  MODEL_KIND_REFINER: "A refiner: it draws the fine parts of a picture that is there",
  MODEL_KIND_INPAINT: "For repainting a part: it also sees what stays",
};

let served = [];

/** Asks the server until its models are loaded. */
export async function load() {
  for (;;) {
    try {
      served = await api.models();
      notice("");
      return served;
    } catch (error) {
      notice(error.reason === "LOADING" ? "The server is loading its models…" : error.message);
      await new Promise((go) => setTimeout(go, Math.min(5, Number(error.retryAfter) || 1) * 1000));
    }
  }
}

export const all = () => served;
export const named = (name) => served.find((model) => model.name === name);
export const first = () => served[0];
export const isQuantized = (name) => QUANTIZED.test(name);

/** The name without what says its precision: "xl" for "xl-int8" and "xl-fp16". */
export const family = (name) => name.replace(QUANTIZED, "").replace(PRECISION, "");

/** The other one of a pair that differs in 8 bits only, or undefined. */
export const twin = (name) =>
  served.map((model) => model.name)
    .find((other) => other !== name && family(other) === family(name) && isQuantized(other) !== isQuantized(name));

/** One name for each choice: of a pair, the one that is not quantized. */
export const choices = () =>
  served.map((model) => model.name).filter((name) => !(isQuantized(name) && twin(name)));

/** A line for newcomers. */
export const describe = (model) =>
  `${KINDS[model.kind] || "Draws"}. ${model.precision} on ${model.device}.`;

/**
 * A size of this shape that the model can draw, with about the pixels of its own.
 * @param {number} ratio width through height
 * @param {number} [pixels] at most so many
 */
export function sizeFor(model, ratio, pixels = Infinity) {
  const { width, height } = model.defaults;
  const { edgeMultiple: multiple = 8, minEdge = multiple, maxEdge = 2048 } = model.limits;
  const area = Math.min(width * height, pixels);
  const fit = (edge) => {
    const least = Math.ceil(minEdge / multiple) * multiple;
    const most = Math.floor(maxEdge / multiple) * multiple;
    return Math.min(most, Math.max(least, Math.round(edge / multiple) * multiple));
  };
  return { width: fit(Math.sqrt(area * ratio)), height: fit(Math.sqrt(area / ratio)) };
}
