// Asks for a fragment again and again. What has not changed comes as 304 and changes nothing on the page.

const LIMIT = 8000; // milliseconds for one answer
const off = document.querySelector("[data-link-off]");
const failing = new Map(); // url → time of the first failure

/** @param {string} url @param {number | null} since */
function report(url, since) {
  if (since === null) failing.delete(url);
  else if (!failing.has(url)) failing.set(url, since);
  const first = Math.min(...failing.values());
  document.body.dataset.link = failing.size ? "off" : "on";
  off.hidden = !failing.size;
  if (!failing.size) return;
  const time = new Intl.DateTimeFormat(document.documentElement.lang, { timeStyle: "medium" }).format(first);
  off.textContent = document.body.dataset.sayOff.replace("{time}", time);
}

/**
 * @param {{ url: string, pace: () => number, show: (html: string) => void, over?: () => void }} what
 *   `over`: the server says that there is nothing more to see (410)
 */
export function poller({ url, pace, show, over }) {
  let tag = "";
  let next = performance.now() + pace();
  let busy = false;
  let ended = false;
  let again = false;

  async function ask() {
    busy = true;
    again = false;
    const began = performance.now();
    try {
      const headers = tag ? { "If-None-Match": tag } : {};
      const signal = AbortSignal.timeout(LIMIT);
      const answer = await fetch(url, { headers, signal, redirect: "manual", cache: "no-store" });
      if (answer.type === "opaqueredirect" || answer.status === 403) {
        signedOut();
        return;
      }
      if (answer.status === 410) {
        ended = true;
        over?.();
      } else if (answer.status === 200) {
        const html = await answer.text();
        tag = answer.headers.get("ETag") ?? "";
        show(html);
      } else if (answer.status !== 304) throw new Error(String(answer.status));
      report(url, null);
    } catch {
      report(url, Date.now());
    } finally {
      busy = false;
      next = again ? 0 : began + pace();
    }
  }

  function signedOut() {
    ended = true;
    document.body.dataset.link = "off";
    off.textContent = document.body.dataset.sayOut;
    off.hidden = false;
  }

  return {
    tick() {
      // The pace may have become quicker since the last answer.
      const due = Math.min(next, performance.now() + pace());
      next = due;
      if (!busy && !ended && performance.now() >= due) void ask();
    },
    now() {
      if (busy) again = true;
      else if (!ended) void ask();
    },
  };
}
