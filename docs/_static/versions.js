"use strict";
// Offers the same page of the other versions, which FOLDER/versions.js names, or their first page where they lack it.
const label = document.querySelector(".version-switch");
if (label && typeof VERSIONS === "object") {
  const root = new URL(document.documentElement.dataset.content_root, document.baseURI);
  const page = decodeURI(document.location.href.split(/[?#]/)[0]).replace(decodeURI(root.href), "").replace(/\.html$/, "");
  const own = root.href.replace(/\/$/, "").split("/").pop();
  const select = label.querySelector("select");
  for (const [version, pages] of Object.entries(VERSIONS)) {
    const target = pages.includes(page) ? page : "index";
    const option = new Option(version, new URL(`../${version}/${target}.html`, root).href, false, version === own);
    select.append(option);
  }
  select.addEventListener("change", () => document.location.assign(select.value));
  label.hidden = select.options.length < 2;
}
