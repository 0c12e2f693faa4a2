// Calls until somebody has seen or taken each severe case: sound, title, and words for a screen reader.

const REPEAT = 3000; // milliseconds between two calls
const SAY_AGAIN = 30_000;
const QUIET_FOR = 60_000; // never longer
const WISH = "anban-console-sound";

/** @param {HTMLElement} body */
export function alarm(body) {
  /** @type {AudioContext | undefined} */
  let audio;
  let waiting = [];
  let known = new Set();
  let called = -Infinity;
  let said = -Infinity;
  let quietUntil = -Infinity;
  const title = document.title;
  const tools = document.querySelector("[data-tools]");
  const on = document.querySelector("[data-sound-on]");
  const mute = document.querySelector("[data-mute]");
  const announce = document.querySelector("[data-announce]");
  tools.hidden = false;

  // Browsers let a page sound only after a gesture; after the wish was said once, any gesture will do.
  async function start() {
    audio ??= new AudioContext();
    await audio.resume();
    sounding();
  }
  const sounding = () => {
    on.hidden = audio?.state === "running";
    body.dataset.sound = audio?.state === "running" ? "on" : "off";
  };
  on.addEventListener("click", () => {
    localStorage.setItem(WISH, "on");
    void start().then(() => tone(2));
  });
  if (localStorage.getItem(WISH) === "on") {
    if (navigator.userActivation?.hasBeenActive) void start();
    for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, () => void start(), { once: true });
  }
  sounding();

  /** @param {number} level */
  function tone(level) {
    if (audio?.state !== "running") return;
    const notes = level >= 4 ? [880, 660, 880, 660] : level === 3 ? [660, 880] : [520];
    notes.forEach((pitch, place) => {
      const start = audio.currentTime + place * 0.22;
      const sound = audio.createOscillator();
      const volume = audio.createGain();
      sound.type = "triangle";
      sound.frequency.value = pitch;
      volume.gain.setValueAtTime(0, start);
      volume.gain.linearRampToValueAtTime(0.35, start + 0.02);
      volume.gain.exponentialRampToValueAtTime(0.001, start + 0.2);
      sound.connect(volume).connect(audio.destination);
      sound.start(start);
      sound.stop(start + 0.21);
    });
  }

  const severe = () => waiting.filter(({ level }) => level >= 3);
  const muted = () => performance.now() < quietUntil;
  /** @param {number} id */
  const words = (id) => {
    const row = document.querySelector(`[data-case="${id}"] .case-what, .strip-case[href$="/${id}/"]`);
    return row?.textContent.replace(/\s+/g, " ").trim() ?? `C-${id}`;
  };

  function say() {
    said = performance.now();
    announce.textContent = "";
    announce.textContent = `${body.dataset.sayUnclaimed} ${waiting.slice(0, 3).map(({ id }) => words(id)).join("; ")}`;
  }

  function hush() {
    quietUntil = performance.now() + QUIET_FOR;
    tick();
  }
  mute.addEventListener("click", hush);

  function tick() {
    const now = performance.now();
    const calling = severe();
    mute.hidden = !calling.length || muted();
    body.dataset.alarm = calling.length ? (muted() ? "muted" : "ringing") : "quiet";
    const flash = Math.floor(now / 1000) % 2 === 0;
    if (!calling.length) {
      const off = body.dataset.link === "off"; // nobody would hear of the next case
      document.title = off && flash ? `! ${title}` : title;
      if (off && now - called > SAY_AGAIN) {
        called = now;
        tone(2);
      }
      return;
    }
    document.title = flash ? `▲ ${calling.length} ${body.dataset.sayWaiting}` : title;
    if (now - said > SAY_AGAIN) say();
    if (muted() || now - called < REPEAT) return;
    called = now;
    body.dataset.rings = String(Number(body.dataset.rings ?? 0) + 1);
    tone(Math.max(...calling.map(({ level }) => level)));
  }

  return {
    /** @param {{ id: number, level: number }[]} cases those that nobody has */
    show(cases) {
      const fresh = cases.filter(({ id, level }) => !known.has(`${id}:${level}`));
      waiting = cases;
      known = new Set(cases.map(({ id, level }) => `${id}:${level}`));
      if (fresh.length) {
        quietUntil = -Infinity; // somebody else is in danger
        called = -Infinity;
        say();
        if (!severe().length) tone(2);
      }
      tick();
    },
    waiting: () => waiting,
    hush,
    tick,
  };
}
