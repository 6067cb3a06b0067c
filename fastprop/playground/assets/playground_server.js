// The page that a server on this machine sends, and whose network trains there: every function is a request.

import { start } from "./playground.js";

async function ask(path, body, headers = { "Content-Type": "application/json" }) {
  const how = body === undefined ? {} : { method: "POST", headers, body: body instanceof Blob ? body : JSON.stringify(body) };
  let response, answer;
  try {
    response = await fetch("api/" + path, how);
    answer = await response.json();
  } catch {
    throw new Error("The playground does not answer. Start it again in the terminal, and open the address it shows.");
  }
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

start({
  share: "This address is of this machine, while this playground runs. For another playground, put the part from # on behind its address.",
  scene: () => ask("scene"),
  snapshot: () => ask("snapshot"),
  configure: (changes) => ask("configure", changes),
  restart: (changes) => ask("restart", changes),
  train: (steps) => ask("train", { steps }),
  stepExample: () => ask("step_example", {}),
  edit: (at, values) => ask("edit", { at, values }),
  state: () => ask("state"),
  thumbnails: () => ask("thumbnails"),
  trace: (row) => ask("trace", { row }),
  upload: (file) => ask("upload", file, { "Content-Type": "text/csv", "X-File-Name": encodeURIComponent(file.name) }),
});
