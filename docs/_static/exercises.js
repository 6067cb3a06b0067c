"use strict";
// Checks the answers of the exercises. Nothing is stored.

// Relative differences from the answer, except for the last, which serves an answer of 0.
const RIGHT = 0.005; // three digits: half a unit of the third, where the first is a 1
const NEAR = 0.05; // rounded too early
const SMALLEST = 1e-6;

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

// "-2.75", "1/3", "5e-3", with a minus or a hyphen; anything else is NaN.
function number(typed) {
  const parts = typed.replace(/\s/g, "").replace(/\u2212/g, "-").split("/");
  if (parts.length > 2 || !parts.every((part) => NUMBER.test(part))) return NaN;
  return parts.map(Number).reduce((above, below) => above / below);
}

// "8,192" is read both ways, with a decimal comma and with one between thousands: only the reader knows which was meant.
const readings = (typed) =>
  [typed.replace(/,/g, "."), typed.replace(/,(?=\d{3}(?!\d))/g, "")].map(number).filter(Number.isFinite);

function verdict(typed, answer, mistakes) {
  if (typed.trim() === "") return [null, "Type a number first."];
  const values = readings(typed);
  const is = (value, part) => values.some((each) => Math.abs(each - value) <= Math.max(part * Math.abs(value), SMALLEST));
  if (!values.length) return [false, "This is not a number. Write it as -2.75 or as 3/4."];
  if (is(answer, RIGHT)) return [true, "Right."];
  for (const [wrong, words] of mistakes) if (is(wrong, RIGHT)) return [false, "Not yet. " + words];
  if (is(-answer, RIGHT)) return [false, "Not yet: the size is right, the sign is not."];
  if (is(answer, NEAR)) return [false, "Close. Round only at the end, to three digits or more."];
  return [false, "Not yet. Try again, or open the hint."];
}

for (const form of document.querySelectorAll(".exercise-form")) {
  const input = form.querySelector("input"), words = form.querySelector(".verdict");
  const answer = Number(form.dataset.answer), mistakes = JSON.parse(form.dataset.mistakes);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const [right, text] = verdict(input.value, answer, mistakes);
    words.textContent = text;
    words.classList.toggle("right", right === true);
    words.classList.toggle("wrong", right === false);
    input.setAttribute("aria-invalid", String(right === false));
  });
  input.addEventListener("input", () => { // what was said was about another number
    words.textContent = "";
    input.removeAttribute("aria-invalid");
  });
}
