/** Times as a person says them: "21:14", "昨天 21:14", "Tue 21:14", "3 Aug 21:14". Pure. */

const GAP = 5 * 60 * 1000; // a pause this long starts a new group

/** @param {Date} a @param {Date} b */
const sameDay = (a, b) => a.toDateString() === b.toDateString();

/**
 * @param {Date | null} before the message above, if any
 * @param {Date} at
 */
export const needsStamp = (before, at) => !before || at - before > GAP || !sameDay(before, at);

/**
 * @param {Date} at
 * @param {Date} now
 * @param {string} language
 */
export function stamp(at, now, language) {
  const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(at);
  const days = Math.round((new Date(now).setHours(0, 0, 0, 0) - new Date(at).setHours(0, 0, 0, 0)) / 86_400_000);
  if (days <= 0) return clock;
  if (days === 1) {
    const day = new Intl.RelativeTimeFormat(language, { numeric: "auto" }).format(-1, "day");
    return `${day.charAt(0).toLocaleUpperCase(language)}${day.slice(1)} ${clock}`;
  }
  const parts = days < 7 ? { weekday: "short" } : { day: "numeric", month: "short" };
  if (at.getFullYear() !== now.getFullYear()) parts.year = "numeric";
  return `${new Intl.DateTimeFormat(language, parts).format(at)} ${clock}`;
}
