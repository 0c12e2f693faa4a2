"""What a page costs a browser: requests, bytes, time and work, on the first visit and on the second.

python -m benchmarks.pages            headless Chromium on this machine
python -m benchmarks.pages --slow     as on a cheap phone with a bad connection

The application runs with production settings and collected static files. benchmarks/README.md explains the columns.
"""

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, CDPSession, sync_playwright

from benchmarks.stage import Stage, stage
from benchmarks.table import Column, show
from devstack.browser import ARGUMENTS, find_chromium

# The throttling that Lighthouse uses for a mobile phone.
SLOW_NETWORK = {
    "offline": False,
    "latency": 150,  # ms per round trip
    "downloadThroughput": 1_600_000 / 8,  # bytes a second
    "uploadThroughput": 750_000 / 8,
}
SLOW_PROCESSOR = 4  # times slower


@dataclass(frozen=True)
class Page:
    name: str
    path: str
    signed_in: bool


@dataclass(frozen=True)
class Visit:
    """Times are milliseconds; requests are those that left the browser."""

    requests: float
    elsewhere: float  # requests to any other origin
    kilobytes: float  # as transferred
    script_kilobytes: float
    paint: float  # first contentful paint
    load: float
    script: float  # processor time in JavaScript
    work: float  # processor time of the page's main thread


class Wire:
    """What the page asks the network for, as the browser's own protocol tells it."""

    def __init__(self, cdp: CDPSession, site: str) -> None:
        self._site = urlsplit(site).netloc
        self._urls: dict[str, str] = {}
        self._scripts: set[str] = set()
        self._bytes: dict[str, float] = {}
        cdp.on("Network.requestWillBeSent", self._sent)
        cdp.on("Network.requestServedFromCache", self._cached)
        cdp.on("Network.responseReceived", self._answered)
        cdp.on("Network.loadingFinished", self._finished)

    def _sent(self, event: dict[str, Any]) -> None:
        if urlsplit(event["request"]["url"]).scheme in ("http", "https"):
            self._urls[event["requestId"]] = event["request"]["url"]

    def _cached(self, event: dict[str, Any]) -> None:
        self._urls.pop(event["requestId"], None)

    def _answered(self, event: dict[str, Any]) -> None:
        if event["response"].get("fromDiskCache"):
            self._urls.pop(event["requestId"], None)
        if event["type"] == "Script":
            self._scripts.add(event["requestId"])

    def _finished(self, event: dict[str, Any]) -> None:
        self._bytes[event["requestId"]] = event["encodedDataLength"]

    @property
    def requests(self) -> int:
        return len(self._urls)

    @property
    def elsewhere(self) -> list[str]:
        return [url for url in self._urls.values() if urlsplit(url).netloc != self._site]

    def kilobytes(self, *, scripts_only: bool = False) -> float:
        counted = self._urls.keys() & self._scripts if scripts_only else self._urls.keys()
        return sum(self._bytes.get(request, 0.0) for request in counted) / 1024


_TIMES = """() => ({
    paint: (performance.getEntriesByName("first-contentful-paint")[0] || {startTime: NaN}).startTime,
    load: performance.getEntriesByType("navigation")[0].loadEventEnd,
})"""


def visit(context: BrowserContext, site: str, page: Page, *, slow: bool) -> Visit:
    """Open the page in a new tab and wait until it is quiet."""
    tab = context.new_page()
    try:
        cdp = context.new_cdp_session(tab)
        wire = Wire(cdp, site)
        cdp.send("Network.enable")
        cdp.send("Performance.enable")
        if slow:
            cdp.send("Network.emulateNetworkConditions", SLOW_NETWORK)
            cdp.send("Emulation.setCPUThrottlingRate", {"rate": SLOW_PROCESSOR})
        response = tab.goto(site + page.path, wait_until="load")
        tab.wait_for_load_state("networkidle")
        if response is None or response.status != 200 or urlsplit(tab.url).path != page.path:
            raise SystemExit(f"{page.name} answered {response and response.status} at {tab.url}")
        times = tab.evaluate(_TIMES)
        metrics = {m["name"]: m["value"] for m in cdp.send("Performance.getMetrics")["metrics"]}
        for url in wire.elsewhere:
            print(f"    {page.name} asks elsewhere: {url}")
        return Visit(
            requests=wire.requests,
            elsewhere=len(wire.elsewhere),
            kilobytes=wire.kilobytes(),
            script_kilobytes=wire.kilobytes(scripts_only=True),
            paint=times["paint"],
            load=times["load"],
            script=metrics["ScriptDuration"] * 1000,
            work=metrics["TaskDuration"] * 1000,
        )
    finally:
        tab.close()


def measure(
    browser: Browser, site: str, page: Page, cookie: dict[str, str], *, slow: bool
) -> tuple[Visit, Visit]:
    """A first and a second visit with an empty cache at the beginning."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, locale="en")
    try:
        if page.signed_in:
            context.add_cookies([{"name": cookie["name"], "value": cookie["value"], "url": site}])
        return visit(context, site, page, slow=slow), visit(context, site, page, slow=slow)
    finally:
        context.close()


def typical(visits: Sequence[Visit]) -> Visit:
    return Visit(**{f.name: statistics.median(getattr(one, f.name) for one in visits) for f in fields(Visit)})


_COLUMNS: Sequence[Column[Visit]] = (
    ("requests", lambda v: f"{v.requests:.0f}"),
    ("elsewhere", lambda v: f"{v.elsewhere:.0f}"),
    ("KB", lambda v: f"{v.kilobytes:.1f}"),
    ("scripts KB", lambda v: f"{v.script_kilobytes:.1f}"),
    ("first paint ms", lambda v: f"{v.paint:.0f}"),
    ("load ms", lambda v: f"{v.load:.0f}"),
    ("script ms", lambda v: f"{v.script:.0f}"),
    ("main thread ms", lambda v: f"{v.work:.0f}"),
)


def run(scene: Stage, chromium: str, *, runs: int, slow: bool) -> None:
    env = scene.application_environment(scene.start_model())
    scene.collect_static(env)
    person = scene.people(1, env)[0]
    _, port = scene.start_application(env)
    site = f"http://127.0.0.1:{port}"
    pages = [
        Page("home", "/", signed_in=False),
        Page("sign-up", "/accounts/signup/", signed_in=False),
        Page("gallery", "/companions/", signed_in=True),
        Page("chat, 40 messages", f"/chats/{person['conversation']}/", signed_in=True),
        Page("settings", "/accounts/settings/", signed_in=True),
    ]
    cookie = {"name": person["cookie"], "value": person["session"]}
    visits: dict[tuple[str, ...], list[Visit]] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        try:
            measure(
                browser, site, pages[0], cookie, slow=False
            )  # the server's first request loads its templates
            for _ in range(runs):
                for page in pages:
                    cold, warm = measure(browser, site, page, cookie, slow=slow)
                    visits.setdefault((page.name, "first"), []).append(cold)
                    visits.setdefault((page.name, "second"), []).append(warm)
        finally:
            browser.close()
    how = "150 ms round trip, 1.6 Mbit/s, processor ÷ 4" if slow else "not throttled"
    print(f"\nHeadless Chromium, {how}; median of {runs} runs\n")
    show(("page", "visit"), _COLUMNS, {key: typical(each) for key, each in visits.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what the pages cost a browser.")
    parser.add_argument(
        "--slow", action="store_true", help="throttle network and processor like a cheap phone"
    )
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    chromium = find_chromium()
    if chromium is None:
        raise SystemExit("No Chromium found: install one or set CHROMIUM to its path.")
    with stage() as scene:
        run(scene, chromium, runs=arguments.runs, slow=arguments.slow)


if __name__ == "__main__":
    main()
