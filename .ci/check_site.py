"""Look at every page of the built site as a reader's browser does.

    python .ci/check_site.py docs/_build/html [--screenshots FOLDER]

Opens each page in headless Chromium, from the disk and without a network, at the width of a screen
and of a phone, light and dark. Fails on: an error in the console, a request that leaves the disk, a
link whose page or place is not there, a formula without extent, a page wider than the phone, text
that is hard to read on what is behind it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urldefrag, urlparse

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

PHONE, SCREEN = 375, 1280
FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
"""The sandbox asks for rights that a CI container lacks, and the pages are our own; a browser that
looks for news of its own waits for a network that may not be there."""
LEAST_CONTRAST = 4.5
"""Of text and its background: what WCAG 2 asks at level AA."""

LOOK = """() => ({
    links: [...document.querySelectorAll("a[href]")].map(a => a.href),
    ids: [...document.querySelectorAll("[id], a[name]")].map(e => e.id || e.name),
    formulas: [...document.querySelectorAll("math")].map(m => {
        const box = m.getBoundingClientRect();
        return [m.textContent.trim().slice(0, 60), box.width, box.height];
    }),
    bad: document.querySelectorAll("merror, .problematic, .system-message").length
        + [...document.querySelectorAll("article p, article td, article li")].filter(
            e => /\\{[a-z-]+\\}`|^:::|^\\.\\. |:[a-z]+:`/.test(e.innerText)).length,
})"""

WIDTH = """() => {
    const wide = document.documentElement.clientWidth;
    const out = [...document.querySelectorAll("article *")].find(e => {
        if (e.getBoundingClientRect().right <= wide + 1) return false;
        for (let up = e; up; up = up.parentElement)
            if (/auto|scroll|hidden/.test(getComputedStyle(up).overflowX)) return false;
        return true;
    });
    return [document.documentElement.scrollWidth, wide, out ? out.outerHTML.slice(0, 120) : ""];
}"""

CONTRAST = """() => {
    const TEXTS = "article p, article li, article td, math, figure svg";
    const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
    const level = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const light = c => 0.2126 * level(c[0]) + 0.7152 * level(c[1]) + 0.0722 * level(c[2]);
    const behind = e => {
        for (; e; e = e.parentElement) {
            const c = parse(getComputedStyle(e).backgroundColor);
            if (c.length === 3 || c[3] > 0.99) return c;
        }
        return [255, 255, 255];
    };
    const found = [["", 21]];
    for (const e of document.querySelectorAll(TEXTS)) {
        const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        found.push([e.textContent.trim().slice(0, 60), ratio]);
    }
    return found.reduce((worst, one) => one[1] < worst[1] ? one : worst);
}"""


def _listened(browser: Browser, said: list[str]) -> Page:
    """Return a page of the browser that writes down what the browser complains about."""
    page = browser.new_page()
    page.on("console", lambda m: said.append(f"console: {m.text}") if m.type == "error" else None)
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    page.on("requestfailed", lambda request: said.append(f"not loaded: {request.url}"))
    page.on(
        "request",
        lambda request: (
            None
            if urlparse(request.url).scheme in {"file", "data"}
            else said.append(f"leaves the disk: {request.url}")
        ),
    )
    return page


def _looked_at(page: Page, path: Path, said: list[str], shots: Path | None) -> dict:
    """Look at a page in all ways; return what it links to and holds."""
    page.goto(path.as_uri())
    found: dict = page.evaluate(LOOK)
    said += [
        f"a formula without extent: {text!r}"
        for text, wide, high in found["formulas"]
        if not (wide > 0 and high > 0)
    ]
    if found["bad"]:
        said.append(f"{found['bad']} errors of the builder, or roles that were not read")
    for name, width, scheme in (("screen", SCREEN, "light"), ("phone", PHONE, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        whole, visible, out = page.evaluate(WIDTH)
        if whole > visible or out:
            said.append(f"{whole} pixels wide on {visible}: {out}")
        text, contrast = page.evaluate(CONTRAST)
        if contrast < LEAST_CONTRAST:
            said.append(f"contrast {contrast:.1f}, {scheme}: {text!r}")
        if shots is not None:
            shots.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=shots / f"{path.stem}-{name}.png", full_page=True)
    return found


def _broken_links(site: Path, found: dict[Path, dict]) -> Iterator[str]:
    for path, content in found.items():
        for link in sorted(set(content["links"])):
            if urlparse(link).scheme != "file":
                continue
            address, place = urldefrag(link)
            target = Path(unquote(urlparse(address).path))
            name = f"{path.relative_to(site)}: the link to {link.removeprefix(site.as_uri())}"
            if not target.is_file():
                yield f"{name} leads nowhere"
            elif place and target in found and unquote(place) not in found[target]["ids"]:
                yield f"{name} leads to no place of that page"


def main() -> int:
    """Return 0 if every page is as it has to be."""
    parser = argparse.ArgumentParser(description="Look at every page of the built site.")
    parser.add_argument("site", type=Path)
    parser.add_argument("--screenshots", type=Path, metavar="FOLDER")
    parser.add_argument("--only", default="**/*.html", metavar="PATTERN", help="of pages")
    arguments = parser.parse_args()
    site = arguments.site.resolve()
    program = shutil.which("chromium") or shutil.which("google-chrome")
    problems: list[str] = []
    found: dict[Path, dict] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        said: list[str] = []
        page = _listened(browser, said)
        for path in sorted(site.glob(arguments.only)):
            found[path] = _looked_at(page, path, said, arguments.screenshots)
            problems += [f"{path.relative_to(site)}: {line}" for line in dict.fromkeys(said)]
            said.clear()
        browser.close()
    if not found:
        problems.append(f"no page in {site}")
    problems += _broken_links(site, found)
    print(*problems, f"site: {len(found)} pages, {len(problems)} problems", sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
