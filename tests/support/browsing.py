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
