"""What tests ask of a browser."""

import json

from selenium import webdriver

PHONE = (390, 844)


def requested_addresses(browser: webdriver.Chrome) -> set[str]:
    """Every address asked for since the browser started, answered or not, but for its own empty tab."""
    entries = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requests = [entry["params"] for entry in entries if entry["method"] == "Network.requestWillBeSent"]
    addresses = {request["request"]["url"] for request in requests}
    return {address for address in addresses if not address.startswith("chrome")}


def be_a_phone(browser: webdriver.Chrome, scheme: str) -> None:
    """Show pages as on a `PHONE` whose reader prefers "light" or "dark" colours."""
    metrics = {"width": PHONE[0], "height": PHONE[1], "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    preferred = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", preferred)
