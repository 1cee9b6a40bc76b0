// A request as the lines that send it: Python on the client, curl on this door, grpcurl on the gRPC one.

const WITHOUT = new Set(["requestId", "onDisconnect", "grace", "retain", "stopAtStep", "image", "mask"]);
const RECORDS = { acceleration: "Acceleration", refiner: "Refiner", schedulerOptions: "SchedulerOptions",
  sizeConditioning: "SizeConditioning", output: "Output" };
const PAIRS = new Set(["original", "crop", "target", "negativeOriginal", "negativeCrop", "negativeTarget"]);
const ENUMS = /^(PRIORITY|PROMPT_SYNTAX|IMAGE_FORMAT)_/;

const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`).replace(/prompt2$/, "prompt_2");
const plain = (request) => {
  const [method] = Object.keys(request);
  return [method, Object.fromEntries(Object.entries(request[method]).filter(([name]) => !WITHOUT.has(name)))];
};

/** A JSON value as Python writes it. JSON's texts are Python's. */
function literal(value, name) {
  if (value === true) return "True";
  if (value === false) return "False";
  if (value === null) return "None";
  if (typeof value === "string") return JSON.stringify(ENUMS.test(value) ? value.replace(ENUMS, "").toLowerCase() : value);
  if (typeof value !== "object") return String(value);
  if (PAIRS.has(name)) return `(${value.width ?? value.x ?? 0}, ${value.height ?? value.y ?? 0})`;
  return `${RECORDS[name] || "dict"}(${Object.entries(value).map(([each, inner]) => `${snake(each)}=${literal(inner, each)}`).join(", ")})`;
}

export function python(request, { grpc, masked }) {
  const [method, { prompt = "", ...rest }] = plain(request);
  const imports = ["Client", ...Object.keys(rest).map((name) => RECORDS[name]).filter(Boolean)].sort();
  const given = [method === "refine" ? '"start.png"' : null, JSON.stringify(prompt), masked ? 'mask="mask.png"' : null,
    ...Object.entries(rest).map(([name, value]) => `${snake(name)}=${literal(value, name)}`)].filter(Boolean);
  return [`from safelight import ${imports.join(", ")}`, "", `with Client(${JSON.stringify(grpc)}) as client:`,
    `    result = client.${method}(`, ...given.map((each) => `        ${each},`), "    )", '    result.save("picture.png")', ""].join("\n");
}

/** For a POSIX shell. */
const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** What writes the body: as it stands, or with the files of a refine put in (too long for an argument). */
function body(method, asked, wrap, masked) {
  const whole = (record) => JSON.stringify(wrap ? { [method]: record } : record);
  if (method !== "refine") return { feed: "", data: quote(whole(asked)) };
  const [before, between, after] = whole({ ...asked, image: "\u0000", ...(masked ? { mask: "\u0000" } : {}) }).split(/\\u0000/);
  const file = (name) => `base64 ${name} | tr -d '\\n'`;
  const parts = [`printf %s ${quote(before)}`, file("start.png"), `printf %s ${quote(between)}`];
  if (masked) parts.push(file("mask.png"), `printf %s ${quote(after)}`);
  return { feed: `{ ${parts.join("; ")}; } |\n  `, data: "@-" };
}

export function curl(request, { http, masked }) {
  const [method, asked] = plain(request);
  const { feed, data } = body(method, asked, true, masked);
  const count = asked.numImages ?? 1;
  return [`job=$(${feed}curl -s ${http}/api/jobs -H 'content-type: application/json' -d ${data} |`,
    `  sed 's/.*"id": *"\\([^"]*\\)".*/\\1/')`,
    `curl -sN "${http}/api/jobs/$job/events?every_steps=0" >/dev/null  # until it is done`,
    ...Array.from({ length: count }, (_, at) => `curl -s "${http}/api/jobs/$job/images/${at}" -o picture-${at}.png`), ""].join("\n");
}

export function grpcurl(request, { grpc, masked }) {
  const [method, asked] = plain(request);
  const { feed, data } = body(method, asked, false, masked);
  const call = method === "refine" ? "Refine" : "Generate";
  return [`${feed}grpcurl -plaintext -max-msg-sz 67108864 -H 'safelight-max-response-bytes: 67108864' \\`,
    `  -d ${data.replace("@-", "@")} ${grpc} safelight.v1.ImageService/${call} |`,
    `  python3 -c 'import base64, json, sys`,
    "for i, image in enumerate(json.load(sys.stdin)[\"images\"]):",
    "    open(f\"picture-{i}.png\", \"wb\").write(base64.b64decode(image[\"data\"]))'", ""].join("\n");
}
