// Tells the server which cases stand on this page, and whether a human moved at it lately: presence is not a login.

const EVERY = 15_000;
const LATELY = 60_000;
let input = -Infinity;
let sent = -Infinity;
let fresh = false;
let shown = new Set();
let told = new Set();

for (const kind of ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"])
  addEventListener(kind, () => (input = performance.now()), { passive: true, capture: true });

export const beat = {
  /** @param {string[]} cases @param {number[]} ringing */
  shows(cases, ringing) {
    shown = new Set([...cases, ...ringing.map(String)]);
    fresh = [...shown].some((id) => !told.has(id));
  },
  /** @param {string} url */
  tick(url) {
    const now = performance.now();
    const active = !document.hidden && now - input < LATELY;
    if (!fresh && !(active && now - sent > EVERY)) return;
    if (now - sent < 1000) return;
    sent = now;
    fresh = false;
    const cases = [...shown];
    const token = document.querySelector("#act [name=csrfmiddlewaretoken]").value;
    const form = new URLSearchParams({ active: active ? "1" : "0", cases: cases.join(",") });
    fetch(url, { method: "POST", body: form, headers: { "X-CSRFToken": token }, keepalive: true, redirect: "manual" })
      .then((answer) => {
        if (answer.ok) for (const id of cases) told.add(id);
        else fresh = true;
      })
      .catch(() => (fresh = true));
  },
};
