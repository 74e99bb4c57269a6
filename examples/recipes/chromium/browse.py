"""Reads the title of a page with headless Chromium, again and again, each time in a new session.

    python3 browse.py URL [SECONDS_BETWEEN]

On SIGTERM it quits the open session, and exits with 0.
"""

import signal
import sys
import time

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service


def browser() -> webdriver.Chrome:
    """Start a session. As a context manager it quits at the end."""
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    options.add_argument("--headless")
    # The sandbox needs namespaces that a container may not make, and Docker's /dev/shm has 64 MB.
    options.add_argument("--no-sandbox")
    options.add_argument("--disable-dev-shm-usage")
    # With the path given, Selenium does not search for a driver or download one.
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


def main(url: str, seconds: float = 60) -> None:
    """Browse until SIGTERM; go on after a session that fails."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        try:
            with browser() as session:
                session.get(url)
                print(f"title: {session.title}", flush=True)
        except WebDriverException as error:
            print(f"failed: {error.msg}", flush=True)
        time.sleep(seconds)


if __name__ == "__main__":
    main(sys.argv[1], *map(float, sys.argv[2:]))
