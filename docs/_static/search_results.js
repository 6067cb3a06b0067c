"use strict";
// Below each result of the search stands what its page is about.
const describe = (item) => {
  const link = item.querySelector("a");
  if (!link || item.querySelector(".summary")) return;
  const root = new URL(document.documentElement.dataset.content_root, document.baseURI).href;
  const page = decodeURI(link.href.split("#")[0]).replace(decodeURI(root), "").replace(/\.html$/, "");
  if (!SUMMARIES[page]) return;
  const summary = document.createElement("p");
  summary.className = "summary";
  summary.textContent = SUMMARIES[page];
  item.append(summary);
};
new MutationObserver(() => document.querySelectorAll("#search-results li").forEach(describe)).observe(
  document.getElementById("search-results"),
  { childList: true, subtree: true },
);
