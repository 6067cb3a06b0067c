"use strict";
// Checks the answers of the exercises. Nothing is stored.

const CLOSE = 0.005; // of the answer: half a unit of its third digit if that is a 1
const NEAR = 0.05; // within this part of the answer it was rounded too early
const SMALLEST = 1e-6; // how far from 0 an answer may be that is 0

// "-2.75", "-2,75", "1/3" and "5e-3", with a minus or a hyphen; anything else is NaN.
function number(typed) {
  const parts = typed.replace(/\s/g, "").replace(/\u2212/g, "-").replace(/,/g, ".").split("/");
  if (parts.length > 2 || parts.some((part) => part === "")) return NaN;
  return parts.map(Number).reduce((above, below) => above / below);
}

const within = (typed, value, part) => Math.abs(typed - value) <= Math.max(part * Math.abs(value), SMALLEST);

function verdict(typed, answer, mistakes) {
  if (typed.trim() === "") return [null, "Type a number first."];
  const value = number(typed);
  if (!Number.isFinite(value)) return [false, "This is not a number. Write it as -2.75 or as 3/4."];
  if (within(value, answer, CLOSE)) return [true, "Right."];
  for (const [wrong, words] of mistakes) if (within(value, wrong, CLOSE)) return [false, "Not yet. " + words];
  if (within(value, -answer, CLOSE)) return [false, "Not yet: the size is right, the sign is not."];
  if (within(value, answer, NEAR)) return [false, "Close. Round only at the end, to three digits or more."];
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
