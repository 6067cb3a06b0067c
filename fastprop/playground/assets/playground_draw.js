// Draws on canvases: the plane with its points, the scale of its values, thumbnails, and the cost curve.

// Return the present colours of the style sheet, which are those of a light or a dark page.
export const colours = () => {
  const style = getComputedStyle(document.documentElement), of = (name) => style.getPropertyValue("--" + name).trim();
  const names = ["page", "ink", "soft", "rule", "border", "accent", "positive", "negative", "training", "held-out"];
  return { ...Object.fromEntries(names.map((name) => [name, of(name)])), classes: [0, 1, 2, 3, 4, 5].map((k) => of("class-" + k)) };
};

export const number = (value, digits = 4) => value === null || value === undefined ? "not finite"
  : value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5) ? value.toExponential(Math.min(digits, 3) - 1).replace(/\.?0*e\+?/, "e")
    : String(+value.toPrecision(digits) || 0);

export const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

// Return values from about low to about high that are 1, 2 or 5 times a power of ten apart, at most `most` of them.
export function ticks(low, high, most) {
  const width = high - low;
  if (!(width > 0 && isFinite(width))) return [];
  const power = 10 ** Math.floor(Math.log10(width / most));
  const step = [1, 2, 5, 10].map((times) => times * power).find((one) => width / one <= most);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, k) => +((first + k) * step).toPrecision(12));
}

const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const mix = (a, b, share) => a.map((value, k) => value + (b[k] - value) * share);

// Return a function from a level, -1 to 1, to a colour: negative ones over that of the page to positive ones.
function diverging(ink) {
  const [low, middle, high] = [ink.negative, ink.page, ink.positive].map(rgb);
  return (level) => mix(middle, level < 0 ? low : high, Math.min(Math.abs(level), 1));
}

function image(width, height, colour) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d"), pixels = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) pixels.data.set([...colour(i), 255], 4 * i);
  context.putImageData(pixels, 0, 0);
  return canvas;
}

// Return the picture of a unit: of its levels, bytes in base64, over the plane.
export function unitPicture(levels, ink) {
  const values = bytes(levels), size = Math.sqrt(values.length), colour = diverging(ink);
  return image(size, size, (i) => colour(values[i] / 127.5 - 1));
}

// Prepare a canvas for the pixels of this screen; return its context and its size in CSS pixels.
function sharp(canvas) {
  const ratio = window.devicePixelRatio || 1, box = canvas.getBoundingClientRect();
  canvas.width = Math.round(box.width * ratio);
  canvas.height = Math.round(box.height * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return [context, box.width, box.height];
}

// ---- points: the classes differ by their shapes too ----

export const SHAPES = "\u25cf\u25a0\u25b2\u25c6\u25bc\u271a"; // a disc, a square, two triangles, a diamond, a cross

// Add the outline of a point of a class to the context's path.
function outline(context, label, x, y, radius) {
  const r = radius * 1.15, corner = (angle) => [x + r * 1.2 * Math.sin(angle), y - r * 1.2 * Math.cos(angle)];
  const polygon = (corners, turn) => {
    for (let k = 0; k < corners; k++) context[k ? "lineTo" : "moveTo"](...corner(turn + 2 * Math.PI * k / corners));
    context.closePath();
  };
  if (label === 1) context.rect(x - r * 0.9, y - r * 0.9, 1.8 * r, 1.8 * r);
  else if (label === 2) polygon(3, 0);
  else if (label === 3) polygon(4, 0);
  else if (label === 4) polygon(3, Math.PI);
  else if (label === 5) for (const [a, b] of [[r * 1.2, r * 0.45], [r * 0.45, r * 1.2]]) context.rect(x - a, y - b, 2 * a, 2 * b);
  else context.arc(x, y, radius, 0, 2 * Math.PI);
}

const reach = (values) => Math.max(...values.map(Math.abs)) || 1;

// Draw a data set small: [x1, x2, label or value] of each of its points.
export function drawThumbnail(canvas, points, classes) {
  const [context, width, height] = sharp(canvas), ink = colours(), colour = diverging(ink);
  const across = reach(points.map((point) => point[0])), up = reach(points.map((point) => point[1])), far = reach(points.map((point) => point[2]));
  for (const [x, y, label] of points) {
    context.beginPath();
    outline(context, classes ? label : 0, width / 2 * (1 + 0.9 * x / across), height / 2 * (1 - 0.9 * y / up), 1.7);
    context.fillStyle = classes ? ink.classes[label] : `rgb(${colour(label / far)})`;
    context.fill();
  }
}

// ---- the plane ----

export const place = (scene, x, y, width, height) => {
  const [[left, right], [bottom, top]] = scene.domain;
  return [(x - left) / (right - left) * width, (top - y) / (top - bottom) * height];
};

// Return what the network says over the plane: for each cell the value, or the share of each class.
export function surfaceOf(snapshot) {
  const { size, channels, values } = snapshot.surface;
  if (values) return { size, values: new Float32Array(bytes(values).buffer) };
  return { size, shares: channels.map((channel) => bytes(channel)) };
}

export const largest = (shares, i) => shares.reduce((best, share, k) => share[i] > shares[best][i] ? k : best, 0);

// Return the values that colours and contours of a regression are for: those of the targets, as far from 0 both ways.
export function scaleOf(scene) {
  const far = reach(scene.points.map((point) => point[2]));
  return { far, levels: ticks(-far, far, 9) };
}

// Return the colour of each cell; if `discrete`, of the likeliest class, or of the middle between two contours.
function colourOf(scene, surface, ink, discrete) {
  const paper = rgb(ink.page), classes = ink.classes.map(rgb);
  if (surface.shares) {
    return (i) => {
      if (discrete) return mix(paper, classes[largest(surface.shares, i)], 0.5);
      const sum = surface.shares.reduce((total, share) => total + share[i], 0) || 1;
      return mix(paper, [0, 1, 2].map((part) => surface.shares.reduce((total, share, k) => total + classes[k][part] * share[i] / sum, 0)), 0.5);
    };
  }
  const colour = valueColour(scene, ink, discrete);
  return (i) => colour(surface.values[i]);
}

// Return a function from a value of a regression to its colour.
function valueColour(scene, ink, discrete) {
  const { far, levels } = scaleOf(scene), colour = diverging(ink), paper = rgb(ink.page), step = levels[1] - levels[0];
  return (value) => Number.isFinite(value) ? mix(paper, colour((discrete ? (Math.floor(value / step) + 0.5) * step : value) / far), 0.75) : paper;
}

export function drawPlane(canvas, scene, snapshot, { chosen, discrete, cursor, unit }) {
  const [context, width, height] = sharp(canvas), ink = colours(), surface = surfaceOf(snapshot), { size } = surface;
  context.imageSmoothingEnabled = !discrete;
  context.imageSmoothingQuality = "high";
  context.drawImage(unit ? unitPicture(unit, ink) : image(size, size, colourOf(scene, surface, ink, discrete)), 0, 0, width, height);
  const labels = surface.values && !unit ? drawContours(context, surface, scaleOf(scene).levels, ink, width, height) : [];
  drawPoints(context, scene, ink, width, height);
  drawLabels(context, labels, ink);
  context.strokeStyle = ink.ink;
  context.lineWidth = 2.5;
  context.beginPath();
  if (chosen !== null && scene.points[chosen]) {
    const [x, y] = scene.points[chosen];
    context.arc(...place(scene, x, y, width, height), 9, 0, 2 * Math.PI);
    context.stroke();
  }
  if (cursor) {
    const [x, y] = [cursor[0] * width, cursor[1] * height];
    context.lineWidth = 1;
    context.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(x + 4 * dx, y + 4 * dy);
      context.lineTo(x + 12 * dx, y + 12 * dy);
    }
    context.stroke();
  }
}

function drawPoints(context, scene, ink, width, height) {
  const test = new Set(scene.test), radius = scene.points.length > 600 ? 2.4 : 3.6, classes = scene.classes.length;
  const { far } = scaleOf(scene), colour = diverging(ink);
  context.lineWidth = 1;
  scene.points.forEach(([x, y, label], row) => {
    const at = place(scene, x, y, width, height);
    context.beginPath();
    outline(context, classes ? label : 0, ...at, test.has(row) ? radius + 0.6 : radius);
    context.fillStyle = classes ? ink.classes[label] : `rgb(${colour(label / far)})`;
    context.strokeStyle = classes ? ink.page : ink.ink; // a value near 0 has nearly the colour of the page
    context.fill();
    context.stroke();
    if (!test.has(row)) return;
    context.beginPath();
    context.arc(...at, radius * 0.55, 0, 2 * Math.PI);
    context.fillStyle = ink.page;
    context.fill();
  });
}

// Draw lines of equal value, dashed where it is negative; return for each that has space its number and where to write it.
function drawContours(context, { size, values }, levels, ink, width, height) {
  const at = (column, row) => values[row * size + column];
  const point = (column, row) => [(column + 0.5) / size * width, (row + 0.5) / size * height];
  const labels = [];
  for (const level of levels) {
    context.beginPath();
    context.setLineDash(level < 0 ? [5, 4] : []);
    context.strokeStyle = ink.ink;
    context.lineWidth = level === 0 ? 1.8 : 0.8;
    let best = null;
    for (let row = 0; row < size - 1; row++) for (let column = 0; column < size - 1; column++) {
      // where the contour crosses the four edges of a square between four cells
      const corners = [[column, row], [column + 1, row], [column + 1, row + 1], [column, row + 1]];
      const crossed = [];
      corners.forEach((one, k) => {
        const other = corners[(k + 1) % 4], a = at(...one) - level, b = at(...other) - level;
        if ((a < 0) !== (b < 0) && Number.isFinite(a) && Number.isFinite(b)) crossed.push(mix(point(...one), point(...other), a / (a - b)));
      });
      for (let k = 0; k + 1 < crossed.length; k += 2) {
        context.moveTo(...crossed[k]);
        context.lineTo(...crossed[k + 1]);
        const [x, y] = crossed[k], clear = Math.min(...labels.map(([, u, v]) => Math.hypot(u - x, v - y)), x - 8, width - 20 - x, y - 8, height - 8 - y);
        if (!best || clear > best[0]) best = [clear, x, y];
      }
    }
    context.stroke();
    if (best && best[0] > 12) labels.push([number(level, 3), best[1], best[2]]);
  }
  context.setLineDash([]);
  return labels;
}

function drawLabels(context, labels, ink) {
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineWidth = 3;
  context.lineJoin = "round";
  for (const [text, x, y] of labels) {
    context.strokeStyle = ink.page;
    context.strokeText(text, x, y);
    context.fillStyle = ink.ink;
    context.fillText(text, x, y);
  }
}

// Draw the colours of the values of a regression, from the least to the largest.
export function drawScale(canvas, scene, discrete) {
  const [context, width, height] = sharp(canvas), { far } = scaleOf(scene), colour = valueColour(scene, colours(), discrete), columns = 200;
  context.imageSmoothingEnabled = !discrete;
  context.drawImage(image(columns, 1, (i) => colour(far * (2 * (i + 0.5) / columns - 1))), 0, 0, width, height);
}

// ---- the cost curve ----

export function drawCurve(canvas, history) {
  const [context, width, height] = sharp(canvas), ink = colours();
  const values = history.flatMap((point) => point.slice(1)).filter((value) => value !== null);
  context.clearRect(0, 0, width, height);
  if (!values.length) return;
  const least = Math.min(...values), most = Math.max(...values), logarithmic = least > 0 && most > 20 * least;
  const scale = logarithmic ? Math.log10 : (value) => value;
  const low = logarithmic ? scale(least) : Math.min(0, least), high = Math.max(scale(most), low + 1e-9);
  const labels = [0, 0.5, 1].map((share) => low + share * (high - low)).map((level) => [level, number(logarithmic ? 10 ** level : level, 2)]);
  context.font = "12px system-ui, sans-serif";
  const left = 14 + Math.max(...labels.map(([, text]) => context.measureText(text).width)), bottom = height - 22;
  const last = Math.max(1, history[history.length - 1][0]);
  const across = (step) => left + step / last * (width - left - 6), up = (level) => bottom - (level - low) / (high - low) * (bottom - 10);
  context.strokeStyle = ink.rule;
  context.fillStyle = ink.soft;
  context.textAlign = "right";
  for (const [level, text] of labels) {
    context.fillText(text, left - 8, up(level) + 4);
    context.beginPath();
    context.moveTo(left, up(level));
    context.lineTo(width - 6, up(level));
    context.stroke();
  }
  context.fillText(`step ${last.toLocaleString("en")}`, width - 6, height - 4);
  context.textAlign = "left";
  context.fillText("0", left, height - 4);
  for (const [column, colour, dash] of [[1, ink.training, []], [2, ink["held-out"], [6, 4]]]) {
    context.beginPath();
    context.setLineDash(dash);
    let drawing = false;
    for (const point of history) {
      if (point[column] === null) { drawing = false; continue; }
      context[drawing ? "lineTo" : "moveTo"](across(point[0]), up(scale(point[column])));
      drawing = true;
    }
    context.strokeStyle = colour;
    context.lineWidth = 2;
    context.stroke();
  }
  context.setLineDash([]);
}
