// Small helpers for elements, texts and what the browser keeps.

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/**
 * A new element: make("button", {className: "x", onclick: f}, "text", child).
 * Names that are no property of the element (aria-label, for) become attributes.
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name === "dataset") Object.assign(element.dataset, value);
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Shows or hides; an empty text hides. */
export function tell(element, text) {
  if (element.textContent !== text) element.textContent = text;
  element.hidden = !text;
}

/** Said to those who listen to the page; seen by nobody. */
export function say(text) {
  const said = byId("said");
  if (said.textContent !== text) said.textContent = text;
}

/** A short word in the header, for what just happened. */
let fading;
export function notice(text) {
  const place = byId("server-state");
  place.textContent = text;
  clearTimeout(fading);
  fading = setTimeout(() => { if (place.textContent === text) place.textContent = ""; }, 6000);
}

export function keep(name, value) {
  try { localStorage.setItem(`safelight.${name}`, JSON.stringify(value)); } catch { /* full, or private: not kept */ }
}

export function kept(name, otherwise) {
  try { return JSON.parse(localStorage.getItem(`safelight.${name}`)) ?? otherwise; } catch { return otherwise; }
}

/** A function that runs once the calls have paused for so many milliseconds. */
export function calm(milliseconds, run) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...given), milliseconds);
  };
}

/** Opens a dialog, closes it on a click beside it, and gives the focus back. */
export function open(dialog) {
  const before = document.activeElement;
  dialog.onclick = (event) => { if (event.target === dialog) dialog.close(); };
  dialog.onclose = () => before?.focus?.();
  if (!dialog.open) dialog.showModal();
}

/** A dialog's heading, with its close button. */
export function heading(dialog, text) {
  const close = make("button", { type: "button", className: "plain close", onclick: () => dialog.close() }, "Close");
  return make("header", {}, make("h2", {}, text), close);
}
