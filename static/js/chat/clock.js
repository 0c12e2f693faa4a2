/** The clock as a page sees it: whether somebody is here, and what the server says of the time left. Decides nothing. */

const MINUTE = 60_000; // ms
const IDLE = 5 * MINUTE; // this long without a sign, nobody is here
// Not `scroll`: the page scrolls by itself, too. A wheel, a finger and a key are the person.
const SIGNS = ["pointerdown", "pointermove", "keydown", "wheel", "touchmove"];
const WARNINGS = [2, 10]; // minutes before the end

/**
 * Pure: is somebody here?
 * @param {{hidden: boolean, idle: number, writing: boolean}} now `idle`: ms since the last sign; `writing`: a reply grows
 */
export const present = ({ hidden, idle, writing }) => !hidden && (writing || idle < IDLE);

/** Pure: the warning that this much time calls for, 10 or 2; Infinity for none. @param {number | null} left minutes */
export const warning = (left) => (left && WARNINGS.find((minutes) => left <= minutes)) || Infinity;

/** Pure. @param {number} left minutes @param {(key: string) => string} say patterns */
export function inWords(left, say) {
  const [h, m] = [Math.floor(left / 60), left % 60];
  return say(h && m ? "hours_minutes" : h ? "hours" : "minutes").replace("{h}", h).replace("{m}", m);
}

/**
 * Says `here` once a minute while somebody is, and at once when the page comes back into sight.
 * @param {{writing: () => boolean, here: () => void}} options
 */
export function watchPresence({ writing, here }) {
  let sign = performance.now(); // opening the page is one; this clock is not set by anybody
  let timer = 0;

  const seen = () => (sign = performance.now());
  function tell() {
    if (present({ hidden: document.hidden, idle: performance.now() - sign, writing: writing() })) here();
  }
  function now() {
    clearInterval(timer);
    timer = setInterval(tell, MINUTE);
    tell();
  }
  for (const name of SIGNS) addEventListener(name, seen, { passive: true, capture: true });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    seen();
    now();
  });
  return now;
}

/**
 * The time left in the head, the warnings above the composer, and the sentence in its place when the time is over.
 * @param {HTMLElement} root
 * @param {(key: string) => string} say
 * @param {(resting: boolean) => void} rest
 */
export function createClock(root, say, rest) {
  const get = (name) => /** @type {HTMLElement} */ (root.querySelector(`[data-${name}]`));
  let warned = Infinity;
  let { resting = "" } = root.dataset; // limit or quiet

  /** Between two messages: whoever is being answered is not interrupted. */
  function warn(left, busy) {
    const due = warning(left);
    if (due === Infinity) warned = Infinity; // more time was given
    if (due < warned && !busy) {
      warned = due;
      get("warning").textContent = say(`left_${due}`).replace("{m}", left);
    } else if (!left || due === Infinity) get("warning").textContent = "";
  }

  return {
    /**
     * @param {{minutes_left: number | null, quiet_until: string | null}} usage as the server says
     * @param {boolean} busy a reply is being written: it ends on the page, whatever the clock says
     */
    show({ minutes_left: left, quiet_until: quiet }, busy) {
      get("time").hidden = !left;
      get("time").textContent = left ? inWords(left, say) : "";
      warn(quiet ? null : left, busy);
      const code = quiet ? "quiet" : left === 0 ? "limit" : "";
      if (resting === code) return;
      get("rest").replaceChildren(
        code ? root.querySelector(`template[data-rests="${code}"]`).content.cloneNode(true) : say("awake"),
      );
      resting = code;
      if (code) root.dataset.resting = code;
      else delete root.dataset.resting;
      rest(Boolean(code));
    },
    /** What was said above the composer has been read. */
    quiet() {
      get("warning").textContent = "";
      if (!resting) get("rest").textContent = "";
    },
  };
}
