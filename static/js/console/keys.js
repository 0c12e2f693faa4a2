// One key, one act; only while no field has the focus, and never together with Ctrl, Alt or Meta.

/** @param {HTMLElement} body @param {{ hush: () => void }} bell */
export function keys(body, bell) {
  const list = document.querySelector("[data-keys]");
  document.querySelector("[data-help]").addEventListener("click", () => list.showModal());
  const rows = () => [...document.querySelectorAll("[data-case]")].filter((row) => row.checkVisibility());
  const current = () => document.activeElement?.closest?.("[data-case]");

  /** @param {number} step */
  function move(step) {
    const all = rows();
    if (!all.length) return false;
    const at = all.indexOf(current());
    const to = at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + step, 0), all.length - 1);
    const button = all[to].querySelector("[data-open]");
    button.focus();
    all[to].scrollIntoView({ block: "nearest" });
    return true;
  }

  /** The button of the chosen row, or of the page of a case. @param {string} which */
  function press(which) {
    const scope = current() ?? (body.dataset.pageCase ? document.querySelector(".case-head") : null);
    const button = scope?.querySelector(which);
    button?.click();
    return Boolean(button);
  }

  const acts = {
    j: () => move(1),
    ArrowDown: () => move(1),
    k: () => move(-1),
    ArrowUp: () => move(-1),
    c: () => press("[data-claim]"),
    s: () => press("[data-seen]"),
    m: () => (bell.hush(), true),
    q: () => (location.assign(document.querySelector(".top-name").href), true),
    "?": () => (list.showModal(), true),
    "/": () => {
      const field = document.querySelector("#reply-text");
      field?.focus();
      return Boolean(field);
    },
  };
  addEventListener("keydown", (event) => {
    if (event.isComposing || event.ctrlKey || event.altKey || event.metaKey) return;
    if (document.querySelector("dialog[open]")) return;
    const target = /** @type {Element} */ (event.target);
    if (target.closest("input, textarea, select, [contenteditable]")) return;
    if (event.key.startsWith("Arrow") && target.closest("[data-window]")) return;
    const act = Object.hasOwn(acts, event.key) ? acts[event.key] : undefined;
    if (act?.()) event.preventDefault();
  });
}
