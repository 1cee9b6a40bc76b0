// The first thing that runs: the picture in the address is watched at once, and then the rest of the page comes.
import * as viewer from "./viewer.js";

const [, id, index] = location.hash.match(/^#([\w-]+)(?:\/(\d+))?$/) || [];
if (id) viewer.open(id, index === undefined ? null : Number(index));
import("./page.js").then((page) => page.begin());
