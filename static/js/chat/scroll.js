/**
 * Follows the newest message for as long as the person wants to, judged by what they do and not by a distance:
 * a wheel, a finger, a key or any way upwards lets go; reaching the end or sending takes hold again.
 */

const UP = new Set(["PageUp", "Home", "ArrowUp"]);

/**
 * @param {HTMLElement} view the element that scrolls
 * @param {HTMLElement} content what grows inside it
 * @param {() => void} onChange following began or ended
 */
export function followBottom(view, content, onChange) {
  let following = true;
  let last = view.scrollTop;
  let finger = 0;

  function follow(wanted) {
    if (wanted === following) return;
    following = wanted;
    onChange();
  }
  const room = () => view.scrollHeight - view.clientHeight;
  const letGo = () => room() > 0 && follow(false);
  /** The end; of a line of the service that is longer than the view, its beginning, where one starts to read. */
  function goal() {
    const newest = content.lastElementChild;
    if (!newest?.matches(".message-system")) return room() + 1;
    const begin = newest.getBoundingClientRect().top - view.getBoundingClientRect().top;
    return Math.min(room() + 1, view.scrollTop + Math.floor(begin));
  }
  const pin = () => following && (view.scrollTop = Math.max(view.scrollTop, goal()));

  view.addEventListener("wheel", ({ deltaY }) => deltaY < 0 && letGo(), { passive: true });
  view.addEventListener("keydown", ({ key }) => UP.has(key) && letGo());
  view.addEventListener("touchstart", ({ touches }) => (finger = touches[0].clientY), { passive: true });
  view.addEventListener("touchmove", ({ touches }) => touches[0].clientY > finger + 4 && letGo(), { passive: true });
  view.addEventListener(
    "scroll",
    () => {
      const top = view.scrollTop;
      const atEnd = room() - top < 4;
      if (top > last && atEnd) follow(true);
      else if (top < last && !atEnd) follow(false); // we only ever scroll down: this was the person or the browser's search
      last = top;
    },
    { passive: true },
  );
  // Text, the keyboard of a phone, a growing composer: whatever changes a height, the end stays in sight.
  const sizes = new ResizeObserver(pin);
  sizes.observe(content);
  sizes.observe(view);

  return {
    get following() {
      return following;
    },
    toEnd() {
      follow(true);
      pin();
    },
    /** Change what lies above without moving the text under the eyes. @param {() => void} change */
    keep(change) {
      const top = (element) => element.getBoundingClientRect().top;
      const still = [...content.querySelectorAll(".message")].find((one) => top(one) + one.clientHeight > top(view) + 8);
      const before = still && top(still);
      view.classList.add("is-changing-above"); // no second opinion from the browser's own anchoring
      change();
      if (still) view.scrollTop += top(still) - before;
      view.classList.remove("is-changing-above");
    },
  };
}
