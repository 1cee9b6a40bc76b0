// Dark, light, or as the system is: set before the first paint, so this is no module.
(() => {
  const NAMES = ["auto", "dark", "light"];
  const root = document.documentElement;
  const kept = () => {
    try { return localStorage.getItem("safelight.theme") || "auto"; } catch { return "auto"; }
  };
  const show = (name) => {
    if (name === "auto") root.removeAttribute("data-theme");
    else root.dataset.theme = name;
  };
  show(kept());
  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    let name = kept();
    const tell = () => { button.textContent = `Theme: ${name}`; };
    tell();
    button.addEventListener("click", () => {
      name = NAMES[(NAMES.indexOf(name) + 1) % NAMES.length];
      try { localStorage.setItem("safelight.theme", name); } catch { /* private mode: for this page only */ }
      show(name);
      tell();
    });
  });
})();
