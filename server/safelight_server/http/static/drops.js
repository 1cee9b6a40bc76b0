// Pictures that are dropped on the page, or pasted: a recipe, or a picture to start from.
import { byId } from "./dom.js";
import { recipeIn } from "./recipe.js";

/**
 * @param {(file: Blob) => void} onPicture a picture to start from
 * @param {(recipe: object, file: Blob) => void} onRecipe how a picture was drawn
 */
export function start(onPicture, onRecipe) {
  const veil = byId("veil");
  let depth = 0;
  const carriesFiles = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
  const hide = () => { depth = 0; veil.hidden = true; };
  document.addEventListener("dragenter", (event) => {
    if (!carriesFiles(event)) return;
    depth += 1;
    veil.hidden = false;
  });
  document.addEventListener("dragleave", () => { depth -= 1; if (depth <= 0) hide(); });
  document.addEventListener("dragover", (event) => { if (carriesFiles(event)) event.preventDefault(); });
  document.addEventListener("drop", (event) => {
    hide();
    const file = event.dataTransfer?.files?.[0];
    if (!file) return;
    event.preventDefault();
    const onEasel = document.elementsFromPoint(event.clientX, event.clientY).some((element) => element.id === "source");
    take(file, onEasel);
  });
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files || [])].find((each) => each.type.startsWith("image/"));
    if (!file) return;
    event.preventDefault();
    take(file, true);
  });
  byId("open-recipe").addEventListener("click", () => {
    const input = document.createElement("input");
    Object.assign(input, { type: "file", accept: "image/png" });
    input.addEventListener("change", () => { if (input.files[0]) take(input.files[0], false); });
    input.click();
  });

  async function take(file, asStart) {
    const recipe = asStart ? null : await recipeIn(file);
    if (recipe) onRecipe(recipe, file);
    else onPicture(file);
  }
}
