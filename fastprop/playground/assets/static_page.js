// The page without a server, which is one file: its network trains in the page itself. static.py writes its data into it.

import { start } from "./playground.js";
import { loadNetwork } from "./static_network.js";
import { makeSession } from "./static_session.js";

async function open() {
  const data = JSON.parse(document.getElementById("static-data").textContent);
  await loadNetwork(Uint8Array.from(atob(data.wasm), (letter) => letter.charCodeAt(0)));
  start(makeSession(data));
}

// In a frame, such as those of the documentation, the page takes the theme of the page around it, which takes its height.
if (parent !== window) {
  addEventListener("message", (event) => {
    if (event.source === parent && typeof event.data?.fastpropTheme === "string") document.documentElement.dataset.theme = event.data.fastpropTheme;
  });
  const tall = () => parent.postMessage({ fastpropTrace: Math.ceil(document.body.getBoundingClientRect().height) }, "*");
  new ResizeObserver(tall).observe(document.body);
}

open().catch((error) => {
  const message = document.getElementById("error");
  message.textContent = `This browser cannot train the network: ${error.message}. Use one from 2023 or later.`;
  message.hidden = false;
});
