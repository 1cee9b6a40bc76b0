// What the server refused, shown at the fields that it names; and the hints, said to those who do not see them.
import { byId, make, tell } from "./dom.js";
import { fieldOf } from "./request.js";

/** Those who do not see the hints hear them. */
export function linkHints() {
  for (const hint of document.querySelectorAll("#form .field > .hint")) {
    const input = hint.parentElement.querySelector(":scope > :is(input, textarea, select), :scope > .with-button > input");
    if (!input) continue;
    hint.id ||= `${input.id}-hint`;
    input.dataset.hint = hint.id;
    input.setAttribute("aria-describedby", hint.id);
  }
}

/** Shows what the server refused: at the field it names, and the rest below the button. Gives the first one the focus. */
export function showError(error) {
  clearErrors();
  const homeless = [];
  let firstField;
  for (const [path, text] of Object.entries(error.fields || {})) {
    const place = document.querySelector(`#form [data-field="${CSS.escape(fieldOf(path))}"]`);
    if (!place || (place.hidden && !place.closest("#source"))) { homeless.push(`${fieldOf(path)} ${text}`); continue; }
    const box = place.closest("details");
    if (box) box.open = true;
    const input = place.querySelector("input, textarea, select, canvas");
    const id = `error-${fieldOf(path).replace(/\W/g, "-")}`;
    place.append(make("p", { className: "error", id }, text));
    input?.setAttribute("aria-invalid", "true");
    input?.setAttribute("aria-describedby", `${id} ${input.dataset.hint || ""}`.trim());
    firstField ??= input;
  }
  const wait = error.retryAfter ? ` Try again in ${Math.ceil(Number.parseFloat(error.retryAfter))} s.` : "";
  if (!firstField) homeless.unshift(...(homeless.length ? [] : [error.message]));
  tell(byId("form-error"), homeless.join(". ") + (homeless.length ? wait : ""));
  firstField?.focus();
}

export function clearError(field) {
  const places = field ? document.querySelectorAll(`#form [data-field="${CSS.escape(field)}"]`) : [];
  for (const place of places) clearIn(place);
}

function clearIn(place) {
  for (const text of place.querySelectorAll("p.error")) text.remove();
  for (const input of place.querySelectorAll("[aria-invalid]")) {
    input.removeAttribute("aria-invalid");
    input.setAttribute("aria-describedby", input.dataset.hint || "");
  }
}

export function clearErrors() {
  for (const place of document.querySelectorAll("#form [data-field]")) clearIn(place);
  tell(byId("form-error"), "");
}
