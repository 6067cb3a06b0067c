"use strict";
// Frames with the page of a trace: each says how tall it is, also where pages are opened from files.
addEventListener("message", (event) => {
  const height = event.data?.fastpropTrace;
  if (!Number.isFinite(height)) return;
  for (const frame of document.querySelectorAll("iframe.trace")) {
    if (frame.contentWindow === event.source) frame.style.height = `${height}px`;
  }
});

// The frame has the theme that the reader chose for this page, which is the system's until then.
const themed = () => {
  const theme = document.body.dataset.theme;
  for (const frame of document.querySelectorAll("iframe.trace")) {
    frame.contentWindow.postMessage({ fastpropTheme: theme === "light" || theme === "dark" ? theme : "" }, "*");
  }
};
new MutationObserver(themed).observe(document.body, { attributes: true, attributeFilter: ["data-theme"] });
for (const frame of document.querySelectorAll("iframe.trace")) frame.addEventListener("load", themed);
