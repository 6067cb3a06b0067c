// What axe-core does not see, found in the page: contrast of text (SVG's too), of borders, lines and focus rings, parts
// that are wider than the page, movement. Each function returns a list of sentences; `access` is what the tests call.
"use strict";
window.access = (() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const known = new Map();
  // [red, green, blue, alpha] of any CSS colour, as the browser paints it: color-mix and oklch as well.
  function colour(text) {
    if (!known.has(text)) {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = "#000";
      canvas.fillStyle = text;
      canvas.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
      known.set(text, [r, g, b, a / 255]);
    }
    return known.get(text);
  }
  const over = (top, below, alpha = top[3]) => [0, 1, 2].map((k) => top[k] * alpha + below[k] * (1 - alpha)).concat(1);
  // WCAG 2.2: relative luminance, and the ratio of two.
  const light = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, weight, k) => {
    const v = c[k] / 255;
    return sum + weight * (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  }, 0);
  function ratio(a, b) {
    const [low, high] = [light(a), light(b)].sort((p, q) => p - q);
    return (high + 0.05) / (low + 0.05);
  }

  const styles = new Map();
  const style = (element) => {
    if (!styles.has(element)) styles.set(element, getComputedStyle(element));
    return styles.get(element);
  };
  const parent = (element) => element.parentElement ?? element.getRootNode().host ?? null;
  const drawn = (element) => element instanceof SVGElement && element.ownerSVGElement !== null;
  const seen = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const words = (element) => {
    const name = element.id ? "#" + element.id : [...element.classList].map((each) => "." + each).join("");
    const text = (element.getAttribute("aria-label") ?? element.textContent ?? "").trim().replace(/\s+/g, " ").slice(0, 30);
    return `${element.localName}${name} "${text}"`;
  };

  const grounds = new Map();
  // The system's colour of a page, in the theme of this one.
  function canvasColour() {
    const probe = document.body.appendChild(document.createElement("i"));
    probe.style.backgroundColor = "Canvas";
    const found = colour(getComputedStyle(probe).backgroundColor);
    probe.remove();
    return found;
  }
  // What is painted behind an element: the colours of the elements around it, and its own unless `outside`.
  function ground(element, outside = false) {
    if (outside) return ground(parent(element));
    if (!element) return canvasColour();
    if (!grounds.has(element)) {
      const below = ground(parent(element)), own = colour(style(element).backgroundColor);
      grounds.set(element, drawn(element) || own[3] === 0 ? below : over(own, below));
    }
    return grounds.get(element);
  }
  const opacity = (element) => element ? Number(style(element).opacity) * opacity(parent(element)) : 1;

  // In an SVG, the last shape before an element whose box surrounds the middle of the element.
  function behind(element, shapes) {
    const box = element.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2;
    let below = ground(element.ownerSVGElement);
    for (const shape of shapes) {
      if (shape === element || !(shape.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_FOLLOWING)) continue;
      const around = shape.getBoundingClientRect();
      if (around.x > x || around.right < x || around.y > y || around.bottom < y) continue;
      const fill = colour(style(shape).fill);
      below = over(fill, below, fill[3] * Number(style(shape).fillOpacity) * opacity(shape));
    }
    return below;
  }
  const shapesOf = (svg) => [...svg.querySelectorAll("rect, circle, ellipse, polygon")]
    .filter((each) => seen(each) && style(each).fill !== "none" && !style(each).fill.startsWith("url"));

  const texts = () => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = new Set();
    while (walker.nextNode()) {
      const element = walker.currentNode.parentElement;
      if (walker.currentNode.data.trim() && !found.has(element) && seen(element)) {
        const box = element.getBoundingClientRect();
        if (box.width > 1 && box.height > 1) found.add(element); // what is for screen readers alone is one pixel large
      }
    }
    return [...found].filter((each) => !each.closest("script, style, noscript, select option"));
  };

  const disabled = (element) => element.closest(":disabled, [aria-disabled=true]");

  function contrastOfText() {
    const told = [], shapes = new Map();
    for (const element of texts()) {
      const how = style(element), svg = drawn(element) && element.ownerSVGElement;
      if (svg && !shapes.has(svg)) shapes.set(svg, shapesOf(svg));
      const below = svg ? behind(element, shapes.get(svg)) : ground(element);
      const ink = colour(svg ? how.fill : how.color);
      const alpha = ink[3] * opacity(element) * (svg ? Number(how.fillOpacity) : 1);
      const size = parseFloat(how.fontSize), large = size >= 24 || (size >= 18.66 && Number(how.fontWeight) >= 700);
      const wanted = large || disabled(element) ? 3 : 4.5, got = ratio(over(ink, below, alpha), below);
      if (got < wanted - 0.005) told.push(`text ${words(element)}: contrast ${got.toFixed(2)}, wanted ${wanted}`);
    }
    return told;
  }

  const CONTROLS = "button, input, select, textarea, summary, [role=button], [role=tab], [role=slider]";
  // Painted by the browser in its own colours, if the page does not paint them.
  const OWN = "input[type=checkbox], input[type=radio], input[type=range], input[type=color], input[type=hidden]";

  // A control that has a border or a background can be told from the page by one of them; others are text alone.
  function contrastOfControls() {
    const told = [];
    for (const element of document.querySelectorAll(CONTROLS)) {
      if (!seen(element) || (element.matches(OWN) && style(element).appearance !== "none")) continue;
      const how = style(element), below = ground(element, true), faint = opacity(element);
      const lines = ["Top", "Right", "Bottom", "Left"].filter((side) => parseFloat(how[`border${side}Width`]) > 0);
      const shown = lines.map((side) => how[`border${side}Color`]).concat(how.backgroundColor)
        .map((each) => over(colour(each), below, colour(each)[3] * faint)).map((each) => ratio(each, below));
      const got = Math.max(...shown), wanted = 3;
      if (got > 1.02 && got < wanted - 0.005) told.push(`border of ${words(element)}: contrast ${got.toFixed(2)}, wanted ${wanted}`);
    }
    return told;
  }

  // Every line of a drawing that is no decoration, as what is hidden from screen readers, and a grid in the palette's "rule".
  const decoration = (element, how) => element.closest("[aria-hidden=true]")
    || colour(how.stroke).join() === colour(how.getPropertyValue("--rule") || "transparent").join();
  function contrastOfLines() {
    const told = [];
    for (const svg of document.querySelectorAll("svg")) {
      if (svg.ownerSVGElement || !seen(svg)) continue;
      const shapes = shapesOf(svg);
      for (const element of svg.querySelectorAll("path, line, polyline, rect, circle, ellipse, polygon")) {
        const how = style(element);
        if (!seen(element) || how.stroke === "none" || how.stroke.startsWith("url") || decoration(element, how)) continue;
        const ink = colour(how.stroke), alpha = ink[3] * opacity(element) * Number(how.strokeOpacity);
        if (alpha === 0 || parseFloat(how.strokeWidth) === 0) continue;
        const below = behind(element, shapes), got = ratio(over(ink, below, alpha), below);
        if (got < 3 - 0.005) told.push(`line ${words(element)} ${how.stroke} at opacity ${alpha.toFixed(2)}: contrast ${got.toFixed(2)}, wanted 3`);
      }
    }
    return told;
  }

  const LOOK = ["outlineStyle", "outlineWidth", "outlineColor", "boxShadow", "borderTopColor", "borderTopWidth", "backgroundColor",
    "stroke", "strokeWidth", "textDecorationLine", "color", "opacity"];
  // The ring may be drawn by a part of the element, or by the card around it.
  const look = (element) => [element, element.parentElement, element.parentElement.parentElement, ...[...element.querySelectorAll("*")].slice(0, 20)]
    .map((each) => { const how = getComputedStyle(each); return LOOK.map((name) => how[name]).join(); }).join("|");

  const FOCUSABLE = "a[href], area[href], button, input, select, textarea, summary, iframe, audio[controls], video[controls], [tabindex]";
  const reachable = (each) => each.tabIndex >= 0 && !each.disabled && each.type !== "hidden" && seen(each) && !each.closest("[inert]")
    && !(each.type === "radio" && !each.checked && each.name); // of radio buttons the chosen one is a stop
  const stops = () => [...document.querySelectorAll(FOCUSABLE)].filter(reachable);

  // Each stop of the Tab key changes its look when it has the focus, by a ring of 3:1 if it is a ring.
  function focusRings() {
    const told = [], before = document.activeElement;
    for (const element of stops()) {
      if (element.localName === "iframe") continue;
      element.blur();
      const without = look(element);
      element.focus({ focusVisible: true });
      if (document.activeElement !== element) continue;
      const box = element.getBoundingClientRect();
      if (box.right < 0 || box.left > innerWidth) told.push(`${words(element)} has the focus outside of the window`);
      const how = getComputedStyle(element), ring = how.outlineStyle !== "none" && parseFloat(how.outlineWidth) > 0;
      if (look(element) === without) told.push(`${words(element)} looks the same with the focus`);
      else if (ring && how.outlineStyle !== "auto") { // "auto" is the browser's own, which has two colours
        const below = ground(element, parseFloat(how.outlineOffset) >= 0), got = ratio(over(colour(how.outlineColor), below), below);
        if (got < 3 - 0.005) told.push(`focus ring of ${words(element)}: contrast ${got.toFixed(2)}, wanted 3`);
      }
      element.blur();
    }
    before?.focus?.({ preventScroll: true });
    scrollTo({ top: 0, behavior: "instant" });
    return told;
  }

  function sideways() {
    const page = document.documentElement;
    if (page.scrollWidth <= page.clientWidth) return [];
    const wide = [...document.body.querySelectorAll("*")].filter((each) => each.getBoundingClientRect().right > page.clientWidth + 1 && seen(each));
    return [`the page is ${page.scrollWidth} px wide in a window of ${page.clientWidth}: ${wide.slice(-1).map(words)}`];
  }

  // With reduced motion nothing moves by itself, and nothing takes its time to change.
  function motion() {
    const told = document.getAnimations().map((each) => `${words(each.effect.target)} moves`);
    const slow = (text) => text.split(",").some((each) => parseFloat(each) * (each.trim().endsWith("ms") ? 1 : 1000) > 1);
    for (const element of document.querySelectorAll("*")) {
      const how = getComputedStyle(element);
      if (slow(how.transitionDuration)) told.push(`${words(element)} has a transition of ${how.transitionDuration}`);
      if (how.scrollBehavior === "smooth") told.push(`${words(element)} scrolls smoothly`);
    }
    return told;
  }

  // What would be cut on paper, where nothing can be scrolled, and what would repeat on each sheet.
  function paper() {
    const told = [], sheet = ground(document.body), own = [document.body, document.documentElement].some((each) => colour(style(each).backgroundColor)[3]);
    if (own && light(sheet) < 0.9) told.push(`the paper is rgb(${sheet.slice(0, 3)})`);
    for (const element of document.body.querySelectorAll("*")) {
      if (!seen(element)) continue;
      const how = getComputedStyle(element), across = element.scrollWidth - element.clientWidth, down = element.scrollHeight - element.clientHeight;
      const box = element.getBoundingClientRect();
      if (box.width < 2 || box.height < 2 || element.matches("select, input, textarea")) continue;
      if (["auto", "scroll", "hidden", "clip"].includes(how.overflowX) && across > 1 && how.textOverflow !== "ellipsis") told.push(`${words(element)} is cut: ${across} px are missing on the right`);
      if (["auto", "scroll", "hidden", "clip"].includes(how.overflowY) && down > 1 && how.display !== "inline") told.push(`${words(element)} is cut: ${down} px are missing below`);
      if (["fixed", "sticky"].includes(how.position)) told.push(`${words(element)} is ${how.position}`);
    }
    return told;
  }

  // One of all elements whose text has the same colours and size: axe-core's contrast rule takes them instead of all.
  function samples() {
    const found = new Map();
    for (const element of texts()) {
      const around = [];
      for (let each = element; each; each = parent(each)) around.push(style(each).backgroundColor, style(each).backgroundImage, style(each).opacity);
      const how = style(element), kind = [how.color, how.fontSize, how.fontWeight, ...around].join();
      if (!found.has(kind)) found.set(kind, element);
    }
    return [...found.values()];
  }

  const checks = { contrastOfText, contrastOfControls, contrastOfLines, focusRings, sideways, motion, paper, samples };
  const afresh = (check) => () => { styles.clear(); grounds.clear(); return [...new Set(check())]; };
  const offered = Object.entries(checks).map(([name, check]) => [name, afresh(check)]);
  return { ...Object.fromEntries(offered), stops, words };
})();
