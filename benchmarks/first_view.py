"""What a reader's first visit to the page costs on a phone: bytes and milliseconds until the books are painted.

    python benchmarks/first_view.py --url http://127.0.0.1:8000 [--query TEXT] [--views N] [--out FILE]

The page that is served at `--url` is opened by Chromium (Debian's chromium-driver) with an empty cache, each time in a
new process, at 390 x 844 pixels. The network is Chromium's "Slow 4G" (150 ms there and back, 1.6 Mbit/s down,
750 kbit/s up), the processor is slowed down four times. `painted_ms` is the largest contentful paint: from then on the
first books stand there.
"""

import argparse
import json
import platform
import shutil
import statistics
import urllib.parse
from pathlib import Path
from typing import Any

from reporting import report
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

SLOW_4G = {"offline": False, "latency": 150, "downloadThroughput": 1.6e6 / 8, "uploadThroughput": 750e3 / 8}
PROCESSOR_SLOWED = 4
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}

# Of each file: what came over the network, headers included. The paint is observed from before the page began.
_FIGURES = """
const done = arguments[0];
new PerformanceObserver((list) => {
  const painted = list.getEntries().at(-1).startTime;
  const [page] = performance.getEntriesByType("navigation");
  const files = [page, ...performance.getEntriesByType("resource")];
  done({
    painted_ms: painted,
    first_paint_ms: performance.getEntriesByName("first-contentful-paint")[0].startTime,
    loaded_ms: page.loadEventEnd,
    bytes: files.reduce((sum, file) => sum + file.transferSize, 0),
    requests: files.length,
  });
}).observe({ type: "largest-contentful-paint", buffered: true });
"""


def main() -> None:
    """Open the start page and the results; print and write what they cost."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--url", required=True)
    options.add_argument("--query", default="funny sci-fi")
    options.add_argument("--views", type=int, default=5)
    options.add_argument("--out", type=Path)
    given = options.parse_args()
    asked = urllib.parse.urlencode({"query": given.query})
    pages = {"start": f"{given.url}/", "results": f"{given.url}/search?{asked}"}
    found: dict[str, Any] = {"machine": f"{platform.machine()}, Python {platform.python_version()}"}
    for name, address in pages.items():
        views = [first_view(address) for _ in range(given.views)]
        found[name] = {figure: round(statistics.median(view[figure] for view in views)) for figure in views[0]}
        found[name]["slowest_painted_ms"] = round(max(view["painted_ms"] for view in views))
    text = json.dumps(found, indent=1)
    report(text, given.out)


def first_view(address: str) -> dict[str, float]:
    """The figures of one visit by a browser that has seen nothing yet."""
    wanted = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        wanted.add_argument(argument)
    browser = webdriver.Chrome(options=wanted, service=Service(shutil.which("chromedriver")))
    try:
        for command, values in (
            ("Network.enable", {}),
            ("Network.emulateNetworkConditions", SLOW_4G),
            ("Emulation.setCPUThrottlingRate", {"rate": PROCESSOR_SLOWED}),
            ("Emulation.setDeviceMetricsOverride", PHONE),
        ):
            browser.execute_cdp_cmd(command, values)
        browser.get(address)
        figures: dict[str, float] = browser.execute_async_script(_FIGURES)
        return figures
    finally:
        browser.quit()


if __name__ == "__main__":
    main()
