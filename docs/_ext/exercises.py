"""The directive `exercise`: a question whose answer is a number, which the page checks.

    ```{exercise} The second row
    ---
    ask: dL/dw0
    answer: |
      _, gradient = neuron.value_and_gradient(x[1:2], y[1:2], loss="half_mse")
      gradient[0]
    hint: |
      The error is $a - y$.
    solution: |
      The error is $0.75$, and it is multiplied by $x_0$.
    mistakes: |
      2 * error[1] * x[1, 0] :: The 2 of the square cancels the half.
    ---
    What is the derivative of the loss of row 1?
    ```

The last line of `answer` is an expression. It is evaluated when the documentation is built, with the names that the
blocks of code above it define; so is each line of `mistakes`, with what the page says to whoever enters its value.
"""

import html
import json
from itertools import count
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive, directives
from docutils.statemachine import StringList

from page_code import blocks_above, names_after

DIGITS = 4  # of the answer that is shown; three are enough for a right one


class ExerciseDirective(Directive):
    """A question, a field for its answer, a hint and the solution."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar = dict.fromkeys(
        ("ask", "answer", "hint", "solution", "mistakes"), directives.unchanged_required
    )
    has_content = True

    def run(self):
        """Return the question in Markdown, the form that `_static/exercises.js` checks, and what can be unfolded."""
        missing = {"ask", "answer", "hint", "solution"} - set(self.options)
        if missing:
            raise self.error(f"an exercise needs {', '.join(sorted(missing))}")
        env = self.state.document.settings.env
        env.note_reread()  # another engine, other numbers
        number = next(env.temp_data.setdefault("exercises", count(1)))
        above = blocks_above(self)[:-1]
        if env.temp_data.get("exercises_above") != above:  # those of a page mostly have the same blocks above them
            env.temp_data["exercises_above"], env.temp_data["exercises_names"] = above, names_after(above)
        self._names = dict(env.temp_data["exercises_names"])
        answer = float(self._evaluated(self.options["answer"]))
        mistakes = []
        for line in self.options.get("mistakes", "").splitlines():
            expression, _, words = line.partition(" :: ")
            mistakes.append([float(self._evaluated(expression)), words])
            if abs(mistakes[-1][0] - answer) <= 0.01 * abs(answer):
                raise self.error(f"the mistake {expression} has the value of the answer, {answer}")
        ask, name = html.escape(self.options["ask"]), f"exercise-{number}"
        form = (
            f'<form class="exercise-form" data-answer="{answer!r}" data-mistakes="{html.escape(json.dumps(mistakes))}">'
            f'<label for="{name}-answer">{ask} =</label> '
            f'<input id="{name}-answer" inputmode="text" autocomplete="off" spellcheck="false" '
            f'aria-describedby="{name}-verdict"> <button type="submit">Check</button>'
            f'<p class="verdict" id="{name}-verdict" role="status"></p></form>'
        )
        shown = f"{self.options['ask']} = {answer:.{DIGITS}g}"
        return [
            _raw(f'<div class="exercise" role="group" aria-labelledby="{name}">'),
            _raw(f'<p class="exercise-title" id="{name}">Exercise {number}: {html.escape(self.arguments[0])}</p>'),
            *self._markdown(self.content),
            _raw(form),
            *self._unfolded("Hint", self.options["hint"]),
            *self._unfolded("Show the answer", f"`{shown}`\n\n{self.options['solution']}"),
            _raw("</div>"),
        ]

    def _evaluated(self, code):
        """Return the value of the last line of code, after the page's blocks of code above."""
        *statements, last = code.strip().splitlines()
        try:
            exec("\n".join(statements), self._names)
            return eval(last, self._names)
        except Exception as error:
            raise self.error(f"{last!r} has no value: {error!r}") from error

    def _unfolded(self, title, text):
        lines = StringList(text.splitlines(), source=self.state.document.current_source)
        return [_raw(f"<details><summary>{title}</summary>"), *self._markdown(lines), _raw("</details>")]

    def _markdown(self, lines):
        parent = nodes.container()
        self.state.nested_parse(lines, self.content_offset, parent)
        return parent.children


def _raw(text):
    return nodes.raw("", text, format="html")


def setup(app):
    """What Sphinx calls."""
    app.add_directive("exercise", ExerciseDirective)
    app.add_css_file("exercises.css")
    app.add_js_file("exercises.js", loading_method="defer")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
