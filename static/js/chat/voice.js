/** Speech to text by the browser, where it has it. Loaded when somebody first wants to speak. */

import { recall, remember } from "./storage.js";

const Recognition = globalThis.SpeechRecognition ?? globalThis.webkitSpeechRecognition;
const KNOWN = "anban.voice"; // the sentence about the browser's maker was read
const HOLD = 400; // ms; shorter is a tap, which listens until a pause

/**
 * @param {HTMLElement} button
 * @param {{say: (key: string) => string, heard: (text: string) => void, begins: () => void, ends: (spoke: boolean) => void,
 *          bar: (said: import("./panels.js").Said | null) => void}} options `ends`: it listens no more, and heard something
 */
export function createVoice(button, { say, heard, begins, ends, bar }) {
  const ear = new Recognition();
  let listening = false;
  let known = recall(KNOWN) === "yes";
  let held = false;
  let spoke = false;
  let timer = 0;

  function set(on) {
    listening = on;
    button.setAttribute("aria-pressed", String(on));
    button.setAttribute("aria-label", say(on ? "listening" : "speak"));
  }

  function agree() {
    known = true;
    remember(KNOWN, "yes");
    bar(null);
    voice.start();
  }

  ear.lang = document.documentElement.lang.startsWith("zh") ? "zh-CN" : "en-US";
  ear.onstart = () => set(true);
  ear.onend = () => {
    if (listening) ends(spoke);
    set(false);
  };
  ear.onerror = ({ error }) => {
    set(false);
    if (error === "no-speech" || error === "aborted") return;
    bar({ text: say(error === "not-allowed" || error === "service-not-allowed" ? "voice_denied" : "voice_failed") });
  };
  ear.onresult = ({ results, resultIndex }) => {
    for (const result of [...results].slice(resultIndex)) {
      const text = result[0].transcript.trim();
      if (!result.isFinal || !text) continue;
      spoke = true;
      heard(text);
    }
  };

  const voice = {
    start() {
      if (listening) return;
      // The first use says where the voice may go.
      if (!known) return bar({ text: say("voice_first"), label: say("voice_yes"), run: agree });
      spoke = false;
      begins();
      set(true);
      ear.start();
    },
    stop() {
      if (listening) ear.stop();
    },
  };

  button.addEventListener("pointerdown", () => {
    timer = setTimeout(() => {
      held = true;
      voice.start();
    }, HOLD);
  });
  for (const name of ["pointerup", "pointerleave", "pointercancel"])
    button.addEventListener(name, () => {
      clearTimeout(timer);
      if (held) voice.stop();
    });
  button.addEventListener("click", () => {
    if (!held) listening ? voice.stop() : voice.start();
    held = false;
  });
  button.addEventListener("contextmenu", (event) => event.preventDefault()); // what a long press means elsewhere
  return voice;
}
