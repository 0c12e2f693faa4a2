// Clocks count to the breach by the server's time. The server writes the same text first (safety/templatetags/console.py).

const SOON = 60; // seconds
let ahead = 0; // milliseconds that the server's clock is before ours

/** @param {number} now the server's, as it wrote the page */
export function serverTime(now) {
  if (now) ahead = now - Date.now();
}

/** @param {number} due @param {number} now milliseconds */
export function span(due, now) {
  const left = Math.floor(due / 1000) - Math.floor(now / 1000);
  const sign = left < 0 ? "+" : "";
  const seconds = Math.abs(left);
  const hours = Math.floor(seconds / 3600);
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  if (hours >= 10) return `${sign}${hours} h`;
  const rest = `${Math.floor(seconds / 60) % 60}`;
  return hours ? `${sign}${hours}:${two(Number(rest))}:${two(seconds % 60)}` : `${sign}${rest}:${two(seconds % 60)}`;
}

function show() {
  const now = Date.now() + ahead;
  for (const element of document.querySelectorAll("[data-due]")) {
    const due = Number(element.dataset.due);
    const text = span(due, now);
    if (element.textContent !== text) element.textContent = text;
    const clock = element.closest(".clock") ?? element;
    clock.classList.toggle("breached", due <= now);
    clock.classList.toggle("soon", due > now && due - now < SOON * 1000);
  }
}

export function keepClocks() {
  show();
  setInterval(show, 1000);
}
