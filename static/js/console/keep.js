// Replaces a part of the page and keeps what the human did there: the focus and what was opened.

/** @param {Element} part @param {string} html */
export function replaceWith(part, html) {
  const active = part.contains(document.activeElement) ? document.activeElement : null;
  const row = active?.closest("[data-case]")?.dataset.case;
  const mark = active && name(active);
  const open = new Map([...part.querySelectorAll("details[data-keep]")].map((one) => [one.dataset.keep, one.open]));
  part.innerHTML = html;
  for (const one of part.querySelectorAll("details[data-keep]"))
    if (open.has(one.dataset.keep)) one.open = open.get(one.dataset.keep);
  if (!active) return;
  const within = row ? part.querySelector(`[data-case="${row}"]`) : part;
  const same = within && [...within.querySelectorAll("button, a, summary")].find((one) => name(one) === mark);
  (same ?? within?.querySelector("[data-open]"))?.focus({ preventScroll: true });
}

/** @param {Element} element */
const name = (element) =>
  `${element.tagName} ${element.getAttribute("formaction") ?? element.getAttribute("href")} ${element.getAttribute("value")}`;
