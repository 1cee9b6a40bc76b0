// The mask, painted over the picture: by pointer, by finger, or by arrow keys and space.
import { byId } from "./dom.js";

const TINT = "rgb(224 57 43 / 55%)";
const canvas = () => byId("mask");

let picture = null; // ImageBitmap
let paper = null; // of the picture's size: white where it is drawn anew, else transparent
let painted = false;
let erasing = false;
let cursor = null; // of the keyboard, in the picture's pixels
let last = null;
let changed = () => {};

/** `onChange` is told whether anything is painted. */
export function start(onChange) {
  changed = onChange;
  const easel = canvas();
  easel.addEventListener("pointerdown", (event) => {
    easel.setPointerCapture(event.pointerId);
    cursor = null;
    last = place(event);
    dab(last, last);
    changed(painted);
  });
  easel.addEventListener("pointermove", (event) => {
    if (!last) return;
    for (const each of event.getCoalescedEvents?.() || [event]) {
      const next = place(each);
      dab(last, next);
      last = next;
    }
  });
  for (const name of ["pointerup", "pointercancel"]) easel.addEventListener(name, () => { last = null; changed(painted); });
  easel.addEventListener("keydown", byKey);
  easel.addEventListener("blur", () => { cursor = null; show(); });
  byId("erase").addEventListener("click", () => setErasing(!erasing));
  byId("clear").addEventListener("click", clear);
}

/** A new picture to paint on, and perhaps the mask that it had. */
export async function begin(bitmap, mask) {
  picture = bitmap;
  const easel = canvas();
  easel.width = bitmap.width;
  easel.height = bitmap.height;
  paper = new OffscreenCanvas(bitmap.width, bitmap.height);
  painted = false;
  setErasing(false);
  if (mask) await recall(mask);
  show();
}

/** The mask as a PNG: white is drawn anew, black is kept. Null if nothing is painted. */
export async function file() {
  if (!painted || !paper) return null;
  const whole = new OffscreenCanvas(paper.width, paper.height);
  const pen = whole.getContext("2d");
  pen.fillRect(0, 0, whole.width, whole.height);
  pen.drawImage(paper, 0, 0);
  return whole.convertToBlob({ type: "image/png" });
}

export function clear() {
  paper?.getContext("2d").clearRect(0, 0, paper.width, paper.height);
  painted = false;
  show();
  changed(painted);
}

async function recall(mask) {
  const bitmap = await createImageBitmap(mask);
  const pen = paper.getContext("2d");
  pen.drawImage(bitmap, 0, 0, paper.width, paper.height);
  const pixels = pen.getImageData(0, 0, paper.width, paper.height);
  for (let i = 0; i < pixels.data.length; i += 4) pixels.data[i + 3] = pixels.data[i]; // black becomes transparent
  pen.putImageData(pixels, 0, 0);
  painted = true;
}

function setErasing(value) {
  erasing = value;
  byId("erase").setAttribute("aria-pressed", String(value));
}

/** The brush in the picture's pixels: its range is a share of the shorter edge. */
const thickness = () => (Number(byId("brush").value) / 100) * Math.min(paper.width, paper.height);

function place(event) {
  const box = canvas().getBoundingClientRect();
  return [((event.clientX - box.left) / box.width) * paper.width, ((event.clientY - box.top) / box.height) * paper.height];
}

function dab([fromX, fromY], [x, y]) {
  const pen = paper.getContext("2d");
  pen.globalCompositeOperation = erasing ? "destination-out" : "source-over";
  Object.assign(pen, { strokeStyle: "#fff", lineCap: "round", lineJoin: "round", lineWidth: thickness() });
  pen.beginPath();
  pen.moveTo(fromX, fromY);
  pen.lineTo(x + 0.01, y);
  pen.stroke();
  pen.globalCompositeOperation = "source-over";
  painted = true;
  show();
}

function show() {
  if (!picture) return;
  const easel = canvas();
  const pen = easel.getContext("2d");
  const tinted = new OffscreenCanvas(paper.width, paper.height);
  const red = tinted.getContext("2d");
  red.drawImage(paper, 0, 0);
  red.globalCompositeOperation = "source-in";
  red.fillStyle = TINT;
  red.fillRect(0, 0, tinted.width, tinted.height);
  pen.clearRect(0, 0, easel.width, easel.height);
  pen.drawImage(picture, 0, 0);
  pen.drawImage(tinted, 0, 0);
  if (cursor) {
    pen.beginPath();
    pen.arc(cursor[0], cursor[1], thickness() / 2, 0, 7);
    Object.assign(pen, { strokeStyle: "#fff", lineWidth: Math.max(1, paper.width / 200) });
    pen.stroke();
  }
}

function byKey(event) {
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (!paper || event.ctrlKey || event.metaKey) return;
  const from = cursor || [paper.width / 2, paper.height / 2];
  const step = (event.shiftKey ? 0.1 : 0.03) * Math.min(paper.width, paper.height);
  if (event.key in moves) {
    const [x, y] = moves[event.key];
    cursor = [Math.min(paper.width, Math.max(0, from[0] + x * step)), Math.min(paper.height, Math.max(0, from[1] + y * step))];
    show();
  } else if (event.key === " ") {
    cursor = from;
    dab(cursor, cursor);
    changed(painted);
  } else if (event.key === "e") {
    setErasing(!erasing);
  } else return;
  event.preventDefault();
}
