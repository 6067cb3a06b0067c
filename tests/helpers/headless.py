"""A headless Chromium, for tests and for tools/check_pages."""

import shutil

# What Chromium wants where it runs as root and may reach no network.
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--window-size=1400,1000"),
)


def paths():
    """Return the paths of Chromium and of chromedriver, or None where one is missing."""
    found = shutil.which("chromium"), shutil.which("chromedriver")
    return found if all(found) else None


def start(profile):
    """Start a Chromium with a new profile in the folder `profile`; needs selenium."""
    from selenium import webdriver

    browser, control = paths()
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(control))
