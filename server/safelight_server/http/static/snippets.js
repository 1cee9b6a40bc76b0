// The lines that draw the same from Python or a shell.
import { byId, heading, keep, kept, make, notice, open as openDialog } from "./dom.js";
import { curl, grpcurl, python } from "./code.js";

const KINDS = { python: ["Python", python], curl: ["curl", curl], grpcurl: ["grpcurl", grpcurl] };

/** Shows them for a request: {"generate": {…}} or {"refine": {…}}, without its pictures. */
export function open(request, { masked = false } = {}) {
  const dialog = byId("snippets");
  let kind = kept("snippet", "python");
  const address = make("input", { type: "text", id: "grpc-address", value: kept("grpc", `${location.hostname}:50051`) });
  const code = make("pre", { tabIndex: 0 });
  const tabs = Object.entries(KINDS).map(([name, [title]]) =>
    make("button", { type: "button", dataset: { kind: name }, onclick: () => { kind = name; keep("snippet", kind); show(); } }, title));
  const show = () => {
    for (const tab of tabs) tab.setAttribute("aria-pressed", String(tab.dataset.kind === kind));
    code.textContent = KINDS[kind][1](request, { grpc: address.value.trim(), http: location.origin, masked });
    row.hidden = kind === "curl";
  };
  address.addEventListener("input", () => { keep("grpc", address.value.trim()); show(); });
  const copy = make("button", { type: "button", className: "main", onclick: () => put(code, copy) }, "Copy");
  const row = make("div", { className: "field" }, make("label", { htmlFor: "grpc-address" }, "The server's gRPC address"), address,
    make("p", { className: "hint" }, "It is in the first line of the server's log."));
  const hint = request.refine ? "The picture to start from is read from start.png" + (masked ? ", the mask from mask.png." : ".") : "";
  dialog.replaceChildren(heading(dialog, "Copy as code"), make("div", { className: "buttons tabs" }, ...tabs), code,
    make("p", { className: "hint" }, hint), row, make("div", { className: "buttons" }, copy));
  show();
  openDialog(dialog);
  copy.focus();
}

/** To the clipboard; where the browser gives none (plain HTTP from afar), it is selected. */
async function put(code, button) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
    notice("Copied");
  } catch {
    getSelection().selectAllChildren(code);
    button.textContent = "Selected: Ctrl C copies";
  }
}
