// A lesson as the part of an address after #: settings, steps or parameters, and how the page shows them.

const MOST = 20_000; // letters of an address; the parameters of the largest network take 10,200
const MOST_STEPS = 20_000; // that opening a lesson trains, in a second or two; the parameters stand for more
const NUMBER = /^-?\d{1,20}(\.\d{1,20})?(e[-+]?\d{1,3})?$/i;

const numbers = ["n", "noise", "test_share", "rate", "batch_size", "l1", "l2", "seed"];
const words = ["data", "activation", "loss", "optimizer"];
const views = { lines: ["W", "dW"], discrete: ["0", "1"], speed: ["1", "10", "100", "1000"] };

function toNumber(name, text) {
  if (!NUMBER.test(text) || !Number.isFinite(Number(text))) throw new Error(`its ${name} is \u201c${text.slice(0, 40)}\u201d, not a number`);
  return Number(text);
}

function toParameters(text) {
  let letters;
  try {
    letters = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    throw new Error("its parameters cannot be read");
  }
  if (!letters.length || letters.length % 8) throw new Error("its parameters are cut off");
  const view = new DataView(Uint8Array.from(letters, (letter) => letter.charCodeAt(0)).buffer);
  const values = Array.from({ length: letters.length / 8 }, (_, k) => view.getFloat64(8 * k, true));
  if (!values.every(Number.isFinite)) throw new Error("one of its parameters is not finite");
  return values;
}

function fromParameters(values) {
  const view = new DataView(new ArrayBuffer(8 * values.length));
  values.forEach((value, k) => view.setFloat64(8 * k, value, true));
  return btoa(String.fromCharCode(...new Uint8Array(view.buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/* Return the text of a lesson from an engine's state, how the page shows it (by the names of `views`), and the names of
 * the controls that are hidden. */
export function writeLesson({ settings, steps, repeatable, parameters }, shown, hidden) {
  if (settings.data === "table") throw new Error("A link cannot hold the points of your table; choose one of the other sets.");
  const made = new URLSearchParams();
  for (const name of [...words, ...numbers]) made.set(name, settings[name]);
  made.set("features", settings.features.join(","));
  made.set("hidden", settings.hidden.join(","));
  if (repeatable && steps <= MOST_STEPS) {
    if (steps) made.set("steps", steps);
  } else {
    if (parameters.includes(null)) throw new Error("The network's parameters are not finite; restart before you share it.");
    made.set("theta", fromParameters(parameters));
  }
  for (const name of Object.keys(views)) made.set(name, shown[name]);
  if (hidden.length) made.set("hide", hidden.join(","));
  return made.toString();
}

/* Return the lesson in the text after #: {settings, steps, parameters, shown, hidden}. Settings that it does not name are
 * those of `start`. An engine checks them; here is checked that they are of the right kind. */
export function readLesson(text, start, controls) {
  if (text.length > MOST) throw new Error(`it has ${text.length.toLocaleString("en")} letters; at most ${MOST.toLocaleString("en")} are read`);
  const lesson = { settings: { ...start }, steps: 0, parameters: null, shown: {}, hidden: [] }, seen = new Set();
  for (const [name, value] of new URLSearchParams(text)) {
    if (seen.has(name)) throw new Error(`it gives ${name.slice(0, 40)} twice`);
    seen.add(name);
    const list = value ? value.split(",") : [];
    if (numbers.includes(name)) lesson.settings[name] = toNumber(name, value);
    else if (words.includes(name)) lesson.settings[name] = value;
    else if (name === "features") lesson.settings.features = list;
    else if (name === "hidden") lesson.settings.hidden = list.map((width) => toNumber("hidden", width));
    else if (name === "theta") lesson.parameters = toParameters(value);
    else if (name === "steps") {
      lesson.steps = toNumber(name, value);
      if (!Number.isInteger(lesson.steps) || lesson.steps < 0 || lesson.steps > MOST_STEPS) throw new Error(`its steps must be 0 to ${MOST_STEPS.toLocaleString("en")}, not ${value}`);
    } else if (name === "hide") {
      const unknown = list.find((one) => !controls.includes(one));
      if (unknown !== undefined) throw new Error(`there is no control \u201c${unknown.slice(0, 40)}\u201d to hide`);
      lesson.hidden = list;
    } else if (Object.hasOwn(views, name)) {
      if (!views[name].includes(value)) throw new Error(`its ${name} is \u201c${value.slice(0, 40)}\u201d; possible are ${views[name].join(", ")}`);
      lesson.shown[name] = value;
    } else throw new Error(`\u201c${name.slice(0, 40)}\u201d is not part of a lesson`);
  }
  if (lesson.settings.data === "table") throw new Error("the points of a table are not in it");
  return lesson;
}
