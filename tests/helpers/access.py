"""Whether everyone can use a page: axe-core's rules and, for what axe-core does not see, those of ``access.js``.

``Inspector`` looks at the page that a Chromium shows, in the themes and at the widths that it is told.
"""

import importlib.resources
from contextlib import contextmanager
from pathlib import Path

# The axe-core of this package is newer than that of other packages: 4.12. Only its axe.min.js is used, not Playwright.
AXE = "axe_playwright_python"

THEMES = ("light", "dark")
WIDTHS = (1280, 390)  # pixels: a laptop, a telephone
ZOOMED = (640, 320)  # pixels: the laptop at 200 and 400 per cent
PAPER = 718  # pixels: A4 between margins of a centimetre

# The rules of axe-core whose findings depend on the width.
OF_WIDTH = ["target-size", "scrollable-region-focusable", "button-name", "link-name", "aria-hidden-focus", "region"]

# What axe-core may find, by its rule and the element: all else makes a check fail, whatever its impact.
EXCEPTIONS = {
    # Furo's style sheet finds the switches of both menus, and the link to the top, only where they are: outside of
    # landmarks.
    ("region", "#__navigation"),
    ("region", "#__toc"),
    ("region", ".back-to-top > span"),
}

# `preload` would fetch the style sheets once more, which a page that was opened from a file may not do.
RUN = """
const [samples, without, options, done] = arguments;
const include = samples ? access.samples().filter((each) => !without || !each.closest(without)) : [document];
const why = (node) => node.failureSummary.split("\\n").slice(1, 2).join("").trim();
const told = (found) => found.violations.flatMap(
  ({ id, impact, nodes }) => nodes.map((node) => [id, impact, node.target.flat().join(" "), why(node)]));
const exclude = without && document.querySelector(without) ? { exclude: [without] } : {};
const how = { resultTypes: ["violations"], iframes: false, preload: false, ...options };
if (!include.length) done([]);
else axe.run({ include, ...exclude }, how)
  .then((found) => done(told(found)), (error) => done([["axe-core", "critical", "", String(error)]]));
"""


class Inspector:
    """Looks at the page that a Chromium shows; each method returns the findings as sentences.

    Parameters
    ----------
    driver : selenium.webdriver.Chrome
    """

    def __init__(self, driver):
        self.driver = driver
        files = importlib.resources.files(AXE).joinpath("axe.min.js"), Path(__file__).with_name("access.js")
        self.scripts = [file.read_text(encoding="utf-8") for file in files]
        driver.set_script_timeout(300)  # seconds: a machine may be busy

    @contextmanager
    def as_seen(self, *, width=None, height=900, print=False, **features):
        """Emulate a window and what its user prefers, such as ``prefers_color_scheme="dark"``."""
        command = self.driver.execute_cdp_cmd
        told = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        command("Emulation.setEmulatedMedia", {"media": "print" if print else "", "features": told})
        if width:
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
            command("Emulation.setDeviceMetricsOverride", size)
        # the page hears of it, and may change what can have the focus, in the next frame
        self.driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
        try:
            yield
        finally:
            command("Emulation.setEmulatedMedia", {"media": "", "features": []})
            if width:
                command("Emulation.clearDeviceMetricsOverride", {})

    def problems(self, *, themes=THEMES, widths=WIDTHS, without=None):
        """Return what is wrong in any of these themes and widths; axe-core leaves out what `without` selects."""
        found = []
        for width in widths:
            for theme in themes:
                with self.as_seen(width=width, prefers_color_scheme=theme):
                    told = self.colours()
                    if theme == themes[0]:
                        told += self.structure(None if width == widths[0] else OF_WIDTH, without)
                    if width == widths[0]:  # the colours at other widths are the same
                        told += self.axe({"runOnly": ["color-contrast"]}, without, samples=True)
                found += [f"{width} px, {theme}: {each}" for each in told]
        return found

    def everything(self, *, themes=THEMES, widths=WIDTHS):
        """Return what is wrong: in these themes and widths, with zoom, reduced motion and forced colours, on paper."""
        found = self.problems(themes=themes, widths=widths)
        found += self.zoomed() + self.moving() + self.forced() + self.printed()
        return list(dict.fromkeys(found))

    def check(self, **how):
        """Fail with all that is wrong, if anything is."""
        found = self.everything(**how) + self.keys()
        assert not found, "\n".join([f"{len(found)} findings", *found])

    def zoomed(self):
        """Check that a window zoomed to 200 and to 400 per cent (WCAG 1.4.10) does not scroll sideways."""
        found = []
        for width in ZOOMED:
            with self.as_seen(width=width):
                found += [f"{width} px: {each}" for each in self.ask("sideways")]
        return found

    def moving(self):
        """Check that nothing moves where the user prefers reduced motion."""
        with self.as_seen(prefers_reduced_motion="reduce"):
            return [f"reduced motion: {each}" for each in self.ask("motion")]

    def forced(self):
        """Check the contrast where the system chooses the colours, as Windows does for high contrast."""
        found = []
        for theme in THEMES:
            with self.as_seen(forced_colors="active", prefers_color_scheme=theme):
                found += self.ask("contrastOfText", "contrastOfLines", "contrastOfControls")
        return [f"forced colours: {each}" for each in found]

    def printed(self):
        """Check that a sheet is white, and that nothing is cut on it, whatever the theme of the screen."""
        with self.as_seen(width=PAPER, print=True, prefers_color_scheme="dark"):
            return [f"paper: {each}" for each in self.ask("paper", "contrastOfText", "contrastOfLines")]

    def keys(self):
        """Check that the Tab key reaches every control, in a round that nothing ends."""
        from selenium.webdriver import ActionChains, Keys

        self._load()
        n = self.driver.execute_script("document.activeElement.blur(); return (window.stops = access.stops()).length")
        reached = set()
        for _ in range(n + 3):  # beyond the last the focus leaves the page, and begins again
            ActionChains(self.driver).send_keys(Keys.TAB).perform()
            reached.add(self.driver.execute_script("return window.stops.indexOf(document.activeElement)"))
        missed = [at for at in range(n) if at not in reached]
        told = self.driver.execute_script("return arguments[0].map((at) => access.words(window.stops[at]))", missed)
        return [f"the Tab key does not reach {each}" for each in told]

    def structure(self, rules=None, without=None):
        """Check names, roles, order of headings, landmarks, sizes of targets: all that does not depend on the theme."""
        # contrast is checked by `colours`; the corner of a table, above the names of its rows, has no words
        switched = {"color-contrast": False, "empty-table-header": False, "target-size": True}
        how = {"rules": {rule: {"enabled": on} for rule, on in switched.items()}}
        return self.axe({"runOnly": rules} if rules else how, without) + self.ask("sideways") + self.unnamed()

    def colours(self):
        """Check the contrast of text, borders of controls, lines of drawings and rings of the focus."""
        # rings are shown in a window that has the focus, to someone who uses the keyboard
        self.driver.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})
        for kind in ("rawKeyDown", "keyUp"):
            self.driver.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": kind, "key": "Shift", "code": "ShiftLeft"})
        return self.ask("contrastOfText", "contrastOfControls", "contrastOfLines", "focusRings")

    def axe(self, options, without=None, *, samples=False):
        """Run axe-core on all but what `without` selects, or on samples of all colours."""
        self._load()
        found = self.driver.execute_async_script(RUN, samples, without, options)
        told = [each for each in found if (each[0], each[2]) not in EXCEPTIONS]
        return [f"{rule} ({impact}): {target}: {why}" for rule, impact, target, why in told]

    def ask(self, *names):
        """Run functions of access.js."""
        self._load()
        return self.driver.execute_script("return arguments[0].flatMap((name) => access[name]())", names)

    def unnamed(self):
        """Return what the accessibility tree has of controls and pictures without a name."""
        tree = self.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        nodes = {node["nodeId"]: node for node in tree}
        return [
            f"a {_role(node)} has no name"
            for node in tree
            if not node.get("ignored") and _role(node) in NAMED and not _name(node)
            # the picture of a button or link that has a name says nothing else
            and not (_role(node) in PICTURES and _name(nodes.get(node.get("parentId"), {})))
        ]

    def _load(self):
        if not self.driver.execute_script("return Boolean(window.axe && window.access)"):
            for script in self.scripts:
                self.driver.execute_script(script)


PICTURES = {"canvas", "Canvas", "image", "img", "graphics-document"}
# Roles of Chromium's accessibility tree whose nodes a person must be told of.
NAMED = PICTURES | {
    *("button", "checkbox", "combobox", "link", "listbox", "menuitem", "radio", "searchbox", "slider", "spinbutton"),
    *("switch", "tab", "textbox", "Iframe", "dialog"),
}


def _role(node):
    return node["role"]["value"]


def _name(node):
    return node.get("name", {}).get("value", "").strip()
