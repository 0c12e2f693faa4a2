/** Small things this browser keeps. A browser that forbids it forgets them, and nothing else changes. */

/** @param {string} key @param {"localStorage" | "sessionStorage"} [place] @returns {string | null} */
export function recall(key, place = "localStorage") {
  try {
    return globalThis[place].getItem(key);
  } catch {
    return null;
  }
}

/** @param {string} key @param {string} value empty forgets @param {"localStorage" | "sessionStorage"} [place] */
export function remember(key, value, place = "localStorage") {
  try {
    if (value) globalThis[place].setItem(key, value);
    else globalThis[place].removeItem(key);
  } catch {
    // full or forbidden
  }
}
