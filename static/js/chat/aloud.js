/**
 * Replies read aloud by a voice of this device. Voices that speak from a distant server are not used: what is said here
 * goes to nobody else. Where there is no such voice, nothing of this is shown.
 */

import { recall, remember } from "./storage.js";

const AUTO = "anban.aloud"; // "yes": replies are read as they come
const PACE = "anban.pace"; // "slow"
const RATE = { "": 0.95, slow: 0.65 };
const SENTENCE = /[^。！？!?.\n]+[。！？!?.\n”』」"')）]*/g;

/**
 * @param {HTMLElement} root
 * @param {HTMLElement} list the messages
 * @param {(key: string) => string} say translated words
 */
export function createAloud(root, list, say) {
  const mouth = speechSynthesis;
  const bar = /** @type {HTMLElement} */ (root.querySelector("[data-aloud]"));
  const auto = /** @type {HTMLInputElement} */ (root.querySelector("[data-aloud-auto]"));
  const slower = /** @type {HTMLElement} */ (root.querySelector("[data-aloud-slower]"));
  /** @type {HTMLElement | null} */
  let reading = null;
  /** @type {HTMLElement | null} */
  let last = null;
  let turn = 0; // an utterance that was cancelled still ends, and must not end the next

  /** @param {string} language */
  const voiceOf = (language) => mouth.getVoices().find((one) => one.localService && one.lang.startsWith(language));
  /** @param {HTMLElement} node */
  const wordsOf = (node) => node.querySelector(".message-body").innerText.trim();
  /** @param {string} text */
  const languageOf = (text) => (/\p{Script=Han}/u.test(text) ? "zh" : "en");

  function voicesAre() {
    const some = Boolean(voiceOf("zh") ?? voiceOf("en"));
    root.toggleAttribute("data-reads", some);
    for (const choice of root.querySelectorAll("[data-aloud-choice]")) choice.hidden = !some;
    show();
  }

  function show() {
    root.toggleAttribute("data-reading", Boolean(reading));
    // In simple mode the buttons stay where they are; elsewhere they come with the voice.
    bar.hidden = !root.hasAttribute("data-reads") || !(reading || document.body.classList.contains("simple"));
    slower.setAttribute("aria-pressed", String(recall(PACE) === "slow"));
    for (const button of list.querySelectorAll("[data-act=read]")) {
      const on = button.closest(".message") === reading;
      button.textContent = say(on ? "read_stop" : "read");
    }
  }

  const aloud = {
    /** @param {HTMLElement} node */
    read(node) {
      const text = wordsOf(node);
      const voice = voiceOf(languageOf(text));
      aloud.stop();
      if (!text || !voice) return;
      const mine = ++turn;
      const parts = text.match(SENTENCE) ?? [text];
      parts.forEach((part, i) => {
        const said = new SpeechSynthesisUtterance(part);
        Object.assign(said, { voice, lang: voice.lang, rate: RATE[recall(PACE) ?? ""] ?? RATE[""] });
        said.onend = said.onerror = () => {
          if (mine !== turn || i < parts.length - 1) return;
          reading = null;
          show();
        };
        mouth.speak(said);
      });
      reading = last = node;
      show();
    },

    /** @param {HTMLElement} node */
    toggle: (node) => (node === reading ? aloud.stop() : aloud.read(node)),

    stop() {
      turn++;
      mouth.cancel();
      reading = null;
      show();
    },

    /** A message of somebody else is whole. What the service says itself ends the voice of the companion in any case. */
    came(node, author) {
      if (recall(AUTO) === "yes" && !document.hidden) aloud.read(node);
      else if (author !== "ai") aloud.stop();
    },
  };

  auto.checked = recall(AUTO) === "yes";
  auto.addEventListener("change", () => {
    remember(AUTO, auto.checked ? "yes" : "");
    if (!auto.checked) aloud.stop();
  });
  root.querySelector("[data-aloud-again]").addEventListener("click", () => {
    const node = last?.isConnected ? last : [...list.querySelectorAll(".message-ai, .message-staff")].at(-1);
    if (node) aloud.read(node);
  });
  slower.addEventListener("click", () => {
    remember(PACE, recall(PACE) === "slow" ? "" : "slow");
    if (reading) aloud.read(reading);
    else show();
  });
  root.querySelector("[data-aloud-stop]").addEventListener("click", aloud.stop);
  mouth.addEventListener?.("voiceschanged", voicesAre);
  addEventListener("pagehide", aloud.stop);
  voicesAre();
  return aloud;
}
