/** More time for today: what the server says of it, and the tap that asks. Decides nothing. */

const NEAR = 10; // minutes before the end, as the first warning

/** Pure: what of the time makes the page ask the server anew. @param {{minutes_left: number | null, quiet_until: string | null}} usage */
export const moment = ({ minutes_left: left, quiet_until: quiet }) =>
  quiet ? "quiet" : left === null || left > NEAR ? "" : left ? "near" : "over";

/** @param {HTMLElement} root */
export function createAsk(root) {
  const place = /** @type {HTMLElement | null} */ (root.querySelector("[data-ask]"));
  if (!place) return { refresh() {}, time() {}, read() {} }; // nobody sets this person's time
  let now = "";
  let newest = 0;
  let asking = false; // its answer is the newest there can be
  let gone = ""; // an answer that has been read

  /** @param {RequestInit} [options] */
  async function refresh(options) {
    if (asking) return;
    asking = options?.method === "POST";
    const mine = ++newest;
    const headers = { "X-Requested-With": "fetch" };
    const answer = await fetch(place.dataset.ask, { ...options, headers, redirect: "error" }).catch(() => null);
    if (mine !== newest) return;
    asking = false;
    if (!answer?.ok) return;
    const next = document.createElement("template");
    next.innerHTML = await answer.text();
    const text = next.content.textContent.trim();
    if ((gone && text === gone) || text === place.textContent.trim()) return; // nothing moves under a finger
    const within = place.contains(document.activeElement);
    place.replaceChildren(next.content);
    gone = "";
    if (within) place.focus({ preventScroll: true });
  }

  place.addEventListener("submit", (event) => {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.target);
    refresh({ method: "POST", body: new FormData(form, event.submitter) });
  });

  return {
    refresh: () => refresh(),
    /** @param {{minutes_left: number | null, quiet_until: string | null}} usage */
    time(usage) {
      const next = moment(usage);
      if (next === now) return;
      now = next;
      refresh();
    },
    /** An answer that was read makes room; what still waits stays. */
    read() {
      if (!place.querySelector("[data-told]:not([data-told=open])")) return;
      gone = place.textContent.trim();
      place.replaceChildren();
    },
  };
}
