"""Requirements on every page, measured in the browser: each function returns the violations of one."""

import re
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

UNRESOLVED = """() => [...document.querySelectorAll('a[href^="#"]')]
  .map(link => decodeURIComponent(link.getAttribute('href').slice(1))).filter(id => !document.getElementById(id))"""

REPEATED = """() => { const ids = [...document.querySelectorAll('[id]')].map(element => element.id);
  return ids.filter((id, index) => ids.indexOf(id) !== index); }"""

CUT_OFF = """() => {
  const name = element => [element.tagName.toLowerCase(), ...element.classList].join('.');
  const root = document.documentElement, found = [];
  if (root.scrollWidth > innerWidth) found.push(`the body is ${root.scrollWidth} wide`);
  for (const element of document.body.querySelectorAll('*')) {
    if (!element.checkVisibility() || element.closest('svg') || element.closest('.digest')) continue;
    const box = element.getBoundingClientRect(), style = getComputedStyle(element);
    if (element.scrollWidth > element.clientWidth + 1 && element.clientWidth && style.overflowX !== 'visible') {
      if (style.overflowX === 'hidden') found.push(`${name(element)} hides what is beyond its edge`);
      else if (element.tabIndex < 0) found.push(`${name(element)} scrolls without the keyboard`);
      else if (!style.backgroundImage.includes('gradient')) found.push(`${name(element)} scrolls without a cue`);
    }
    if (box.left < -1 && !element.closest('.scroll')) found.push(`${name(element)} begins beyond the edge`);
  }
  for (const table of document.querySelectorAll('table'))
    if (table.checkVisibility() && [...table.querySelectorAll('thead th')].some(cell => !cell.checkVisibility()))
      found.push('a table without one of its columns');
  return [...new Set(found)]; }"""
"""A table that is wider than the screen scrolls, by the keyboard too, and shading at its edge is the cue."""

INVISIBLE_FOCUS = """() => { const kinds = new Set(), found = [];
  for (const element of document.querySelectorAll('a[href], button, input, select, summary, [tabindex="0"]')) {
    const kind = element.tagName + '.' + element.className;
    if (kinds.has(kind) || !element.checkVisibility()) continue;
    kinds.add(kind);
    element.focus();
    const style = getComputedStyle(element);
    if (document.activeElement !== element) found.push(`${kind} takes no focus`);
    else if (style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 1) found.push(`${kind} has no outline`);
  }
  return found; }"""


def unfold(page: Page) -> None:
    """Open all folded details."""
    page.evaluate("() => document.querySelectorAll('details').forEach(details => { details.open = true; })")


def broken_links(page: Page) -> list[str]:
    """Return targets of links that the page does not have, and identifiers that it has twice."""
    return [*page.evaluate(UNRESOLVED), *page.evaluate(REPEATED)]


def cut_off(page: Page) -> list[str]:
    """Return what is beyond an edge without a way to reach it."""
    found: list[str] = page.evaluate(CUT_OFF)
    return found


def invisible_focus(page: Page) -> list[str]:
    """Return one element of each kind that shows no focus when the keyboard is used."""
    page.keyboard.press("Tab")  # from now on focus is the keyboard's
    found: list[str] = page.evaluate(INVISIBLE_FOCUS)
    return found


def inaccessible(page: Page) -> list[str]:
    """Return serious and critical findings of axe, and an element of each."""
    violations: list[dict[str, Any]] = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{rule['id']} in {len(rule['nodes'])} elements, e.g. {rule['nodes'][0]['html'][:200]}: {rule['help']}"
        for rule in violations
        if rule["impact"] in ("serious", "critical")
    ]


def printed_pages(page: Page) -> int:
    """Return the number of A4 pages on which the page is printed."""
    margin = dict.fromkeys(("top", "right", "bottom", "left"), "10mm")  # as a printer's dialog has it
    return len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4", print_background=True, margin=margin)))
