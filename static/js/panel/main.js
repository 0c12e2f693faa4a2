/** A guardian's open page: when the server says that a part has changed, fetch that part. Frames say nothing else. */

import { openLine } from "../chat/socket.js";

const page = document.querySelector("[data-family]");
const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/family/`;

/** @param {Record<string, string>} stamps part → stamp of what it holds now */
function renew(stamps) {
  for (const [name, stamp] of Object.entries(stamps)) {
    const part = page.querySelector(`[data-part="${name}"]`);
    if (!part || part.dataset.stamp === stamp) continue;
    if (part.dataset.url) fetchPart(part, stamp);
    else document.querySelector("[data-renewed]").hidden = false; // a form may be half filled in there
  }
}

async function fetchPart(part, stamp) {
  const answer = await fetch(part.dataset.url, { headers: { Accept: "text/html" } }).catch(() => null);
  if (!answer) return; // the line comes back, and with it the stamps
  if (!answer.ok || answer.redirected) return location.reload(); // rights or login are over: the page says so
  const open = [...part.querySelectorAll("details")].map((each) => each.open);
  part.innerHTML = await answer.text();
  part.querySelectorAll("details").forEach((each, place) => (each.open = open[place] ?? each.open));
  part.dataset.stamp = stamp;
}

openLine(url, {
  frame(frame) {
    if (frame.kind === "ready") frame.wards[page.dataset.family] ? renew(frame.wards[page.dataset.family]) : location.reload();
    else if (frame.ward !== page.dataset.family) return;
    else if (frame.kind === "changed") renew(frame.parts);
    else if (frame.kind === "gone") location.reload();
  },
  line(up) {
    page.toggleAttribute("data-up", up);
  },
  ended(code) {
    if (code === 4401) location.reload();
  },
});
