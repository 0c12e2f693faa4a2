/** A websocket that comes back by itself. Knows nothing of messages: frames in, frames out, and how the line is. */

const SILENCE = 40_000; // ms; the server speaks at least every 25 s
const ANSWER = 6_000; // ms a ping may take
const SLOWEST = 30_000; // ms between two attempts
const FINAL = new Set([4400, 4401, 4403, 4404, 4408]); // closed for a reason that trying again does not cure

/**
 * Doubles from half a second; half of each pause is chance, so that a thousand pages do not return together. Pure.
 * @param {number} attempt from 0
 * @param {number} chance 0 to 1
 */
export const pause = (attempt, chance) => Math.min(SLOWEST, 500 * 2 ** attempt) * (0.5 + chance / 2);

/**
 * @param {string} url
 * @param {{frame: (frame: any) => void, line: (up: boolean) => void, ended: (code: number) => void}} on
 *   `line(true)` once the server said it is ready, `line(false)` when it is gone; `ended` when there is no coming back.
 */
export function openLine(url, on) {
  /** @type {WebSocket | null} */
  let socket = null;
  let ready = false;
  let over = false;
  let attempt = 0;
  let retry = 0;
  let watchdog = 0;

  function open() {
    clearTimeout(retry);
    const current = (socket = new WebSocket(url));
    current.onmessage = ({ data }) => {
      const frame = JSON.parse(data);
      if (frame.kind === "ready") {
        ready = true;
        attempt = 0;
        on.line(true);
      }
      expect(SILENCE);
      if (frame.kind !== "pong") on.frame(frame);
    };
    current.onclose = ({ code }) => lost(code);
    expect(SILENCE);
  }

  function lost(code) {
    drop();
    if (FINAL.has(code)) {
      over = true;
      on.ended(code);
      return;
    }
    if (code === 4429) attempt = Math.max(attempt, 5); // told to slow down
    retry = setTimeout(open, pause(attempt++, Math.random()));
  }

  /** Forget the socket at once: closing a dead one can take minutes. */
  function drop() {
    clearTimeout(watchdog);
    if (socket) {
      socket.onmessage = socket.onclose = null;
      socket.close();
    }
    socket = null;
    if (ready) on.line(false);
    ready = false;
  }

  /** Silence for longer than this means a ping; silence after that means the line is dead. */
  function expect(within) {
    clearTimeout(watchdog);
    watchdog = setTimeout(ping, within);
  }

  function ping() {
    if (ready) send({ type: "ping" });
    clearTimeout(watchdog);
    watchdog = setTimeout(() => lost(1006), ANSWER);
  }

  /** Something changed (network, visibility, a click): look now rather than later. */
  function look() {
    if (over || document.hidden) return;
    if (socket) ping();
    else {
      attempt = 0;
      open();
    }
  }

  function send(frame) {
    if (!ready || socket?.readyState !== WebSocket.OPEN) return false;
    socket.send(JSON.stringify(frame));
    return true;
  }

  addEventListener("online", look);
  document.addEventListener("visibilitychange", look);
  // A page in the back-forward cache may not keep a socket; any other is gone, and says so.
  addEventListener("pagehide", ({ persisted }) => {
    if (!persisted) send({ type: "closing" });
    drop();
  });
  addEventListener("pageshow", ({ persisted }) => persisted && look());
  on.line(false);
  open();
  return { send, look };
}
