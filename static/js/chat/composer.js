/** The field people write in: grows to six lines, remembers what was not sent, and shares its button between send and stop. */

import { keySends, watchComposition } from "./ime.js";
import { recall, remember } from "./storage.js";

/**
 * @param {HTMLFormElement} form
 * @param {{conversation: string, limit: number, say: (key: string) => string, send: (text: string) => boolean,
 *          stop: () => void}} options `send` says whether it took the text
 */
export function createComposer(form, { conversation, limit, say, send, stop }) {
  const field = /** @type {HTMLTextAreaElement} */ (form.querySelector("textarea"));
  const button = /** @type {HTMLButtonElement} */ (form.querySelector("[data-send]"));
  const count = /** @type {HTMLElement} */ (form.querySelector("[data-count]"));
  const draft = `anban.draft.${conversation}`;
  const grows = CSS.supports("field-sizing", "content");
  const touch = matchMedia("(hover: none) and (pointer: coarse)");
  const space = document.documentElement.lang.startsWith("zh") ? "" : " "; // between what is said aloud and what is there
  let replying = false;
  let resting = false;
  let saving = 0;

  const composing = watchComposition(field, changed);
  const stops = () => replying && (resting || !field.value.trim());

  function changed() {
    if (!grows) {
      field.style.blockSize = "auto";
      field.style.blockSize = `${field.scrollHeight}px`;
    }
    if (composing()) return; // nothing reacts to half-typed pinyin
    const length = [...field.value].length;
    count.hidden = length < limit * 0.9;
    count.textContent = `${length} / ${limit}`;
    form.dataset.over = String(length > limit);
    button.dataset.mode = stops() ? "stop" : "send";
    button.setAttribute("aria-label", say(button.dataset.mode));
    field.disabled = resting; // the draft waits
    clearTimeout(saving);
    saving = setTimeout(save, 300);
  }
  const save = () => remember(draft, field.value.trim() && field.value);

  function submit() {
    if (composing()) {
      field.blur(); // a tap on the button ends the composition, and its text counts
      field.focus();
    }
    const text = field.value.trim(); // read from the page: state may lag behind the input method
    if (!text || resting || !send(text)) return;
    field.value = "";
    save();
    changed();
  }

  field.addEventListener("input", changed);
  field.addEventListener("keydown", (event) => {
    const enterSends = recall("anban.enter") !== "newline";
    if (!keySends(event, { composing: composing(), touch: touch.matches, enterSends })) return;
    event.preventDefault();
    submit();
  });
  button.addEventListener("mousedown", (event) => event.preventDefault()); // the phone's keyboard stays open
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (stops()) stop();
    else submit();
  });
  addEventListener("pagehide", save);

  if (!field.value) field.value = recall(draft) ?? "";
  changed();

  return {
    field,
    composing,
    submit,
    /** @param {boolean} yes whether a reply is being written */
    replying(yes) {
      replying = yes;
      changed();
    },
    /** @param {boolean} yes whether the companion rests: nothing is sent, the reply being written can be stopped */
    rest(yes) {
      resting = yes;
      changed();
    },
    /** Bring a text back to be changed or sent later; what is already there stays. @param {string} text */
    back(text) {
      field.value = field.value.trim() ? `${text}\n${field.value}` : text;
      changed();
    },
    /** @param {string} text what was said aloud */
    add(text) {
      field.value += (/\S$/.test(field.value) ? space : "") + text;
      changed();
    },
    /** @param {string} text said aloud, and not meant for the companion: it meant leaving */
    unsay(text) {
      if (text && field.value.endsWith(text)) field.value = field.value.slice(0, -text.length).trimEnd();
      changed();
      save();
    },
  };
}
