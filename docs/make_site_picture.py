"""Take the picture of the failure explorer that the README shows; needs Chromium.

python docs/make_site_picture.py SITE

SITE is what `cvgl-bench publish --site SITE --pictures TOWN` wrote.
"""

import shutil
import sys
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.support.ui import WebDriverWait

OUT = Path(__file__).with_name("failures.png")
CHOICE = "model={entry}&corruption=snow&severity=3&show=lost"


def main(site: Path) -> None:
    """Open the page of cvtown-c on the best network's lost queries and keep what is in view."""
    (page,) = site.resolve().glob("failures/cvtown-c-*.html")
    (model,) = site.resolve().glob(f"models/{page.stem}/sample4geo-*.html")
    options = ChromeOptions()
    # Both are named, or selenium would ask the network for them.
    options.binary_location = str(shutil.which("chromium"))
    service = ChromeService(shutil.which("chromedriver"))
    for word in ("--headless=new", "--no-sandbox", "--hide-scrollbars", "--window-size=1100,1060"):
        options.add_argument(word)
    browser = Chrome(options, service)
    try:
        browser.get(f"{page.as_uri()}#{CHOICE.format(entry=model.stem)}")
        loaded = "return [...document.images].slice(0, 12).every(each => each.complete)"
        WebDriverWait(browser, 20).until(lambda _: browser.execute_script(loaded))
        browser.save_screenshot(str(OUT))
    finally:
        browser.quit()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
