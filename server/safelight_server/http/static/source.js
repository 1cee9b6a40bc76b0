// The picture to start from: dropped, pasted, chosen, or one that was drawn here.
import { byId, tell } from "./dom.js";
import * as mask from "./mask.js";

const LARGEST = 2048; // pixels of an edge: what servers draw at most
const AS_THEY_ARE = new Set(["image/png", "image/jpeg", "image/webp"]);

let file = null; // Blob, as it is sent
let size = null;
let taken = () => {};

/** `onTake` is told the size of each new picture. */
export function start(onTake, onChange) {
  taken = onTake;
  mask.start(onChange);
  const input = byId("file");
  for (const id of ["choose", "other"]) byId(id).addEventListener("click", () => input.click());
  input.addEventListener("change", async () => {
    if (input.files[0]) await take(input.files[0]);
    input.value = "";
  });
}

/**
 * Takes a picture. What servers do not read, or is larger than they draw, is made anew as a PNG.
 * @param {Blob} blob
 * @param {Blob} [painted] the mask that goes with it
 * @returns {Promise<boolean>} false: it is no picture
 */
export async function take(blob, painted) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob);
  } catch {
    tell(byId("drop-text"), "That is no picture that this browser can read. Drop another, paste one, or");
    return false;
  }
  const scale = Math.min(1, LARGEST / Math.max(bitmap.width, bitmap.height));
  if (scale < 1 || !AS_THEY_ARE.has(blob.type)) {
    const paper = new OffscreenCanvas(Math.round(bitmap.width * scale), Math.round(bitmap.height * scale));
    paper.getContext("2d").drawImage(bitmap, 0, 0, paper.width, paper.height);
    blob = await paper.convertToBlob({ type: "image/png" });
    bitmap = await createImageBitmap(paper);
  }
  file = blob;
  size = { width: bitmap.width, height: bitmap.height };
  byId("drop").hidden = true;
  byId("easel").hidden = false;
  byId("strength-field").hidden = false;
  await mask.begin(bitmap, painted);
  taken(size);
  return true;
}

/** No picture: the form asks for one. */
export function forget(text = "Drop a picture here, paste one, or") {
  file = null;
  size = null;
  byId("drop").hidden = false;
  byId("easel").hidden = true;
  byId("strength-field").hidden = true;
  tell(byId("drop-text"), text);
}

/** @returns {Promise<{image: Blob, mask?: Blob} | null>} */
export async function files() {
  if (!file) return null;
  const painted = await mask.file();
  return painted ? { image: file, mask: painted } : { image: file };
}

/** As a request carries them. */
export async function encoded(given) {
  const entries = Object.entries(given || {}).filter(([name, blob]) => (name === "image" || name === "mask") && blob);
  return Object.fromEntries(await Promise.all(entries.map(async ([name, blob]) => [name, await base64(blob)])));
}

function base64(blob) {
  return new Promise((done, fail) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => fail(reader.error);
    reader.readAsDataURL(blob);
  });
}
