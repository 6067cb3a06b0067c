"use strict";
// What is wider than the page scrolls, by the keys too: it can have the focus as long as it is wider.
const wide = () => {
  for (const part of document.querySelectorAll(".highlight pre, .table-wrapper, math[display='block'], .content")) {
    const scrolls = part.scrollWidth > part.clientWidth + 1;
    if (scrolls && !part.hasAttribute("tabindex")) part.setAttribute("tabindex", "0");
    else if (!scrolls) part.removeAttribute("tabindex");
  }
};
addEventListener("resize", wide);
document.fonts.ready.then(wide);
