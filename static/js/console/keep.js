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

/**
 * The lines of a conversation: what stands there stays, so that a screen reader reads only what is new.
 * @param {Element} part @param {string} html
 */
export function mergeLines(part, html) {
  const fresh = document.createElement("template");
  fresh.innerHTML = html;
  const list = part.querySelector("[data-lines]");
  const lines = [...fresh.content.querySelectorAll("[data-lines] > li")];
  const same = [...(list?.children ?? [])].every((line, place) => line.id && line.id === lines[place]?.id);
  if (!list || !same) {
    part.innerHTML = html;
    return;
  }
  lines.forEach((line, place) => {
    const there = list.children[place];
    if (!there) list.append(line);
    else if (there.outerHTML !== line.outerHTML) there.replaceWith(line);
  });
}

/** @param {Element} element */
const name = (element) =>
  `${element.tagName} ${element.getAttribute("formaction") ?? element.getAttribute("href")} ${element.getAttribute("value")}`;
