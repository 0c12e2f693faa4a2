/**
 * What the Enter key means in a text field, with Chinese input methods first.
 * A message sent with half-typed pinyin in it is the worst thing a chat can do to somebody who writes Chinese.
 */

/**
 * Pure. `composing` is what `watchComposition` says; `touch` is a device without a real keyboard.
 * @param {{key: string, keyCode: number, isComposing: boolean, shiftKey: boolean, altKey: boolean,
 *          ctrlKey: boolean, metaKey: boolean}} event
 * @param {{composing: boolean, touch: boolean, enterSends: boolean}} mode
 * @returns {boolean} whether this key press sends the message
 */
export function keySends(event, mode) {
  if (event.key !== "Enter") return false;
  // This Enter belongs to the input method: 229 and isComposing in most browsers, our own flag in Safari.
  if (mode.composing || event.isComposing || event.keyCode === 229) return false;
  if (event.ctrlKey || event.metaKey) return true;
  if (event.shiftKey || event.altKey) return false;
  return mode.enterSends && !mode.touch;
}

/**
 * Safari fires the Enter that accepts a candidate after `compositionend`, so the flag outlives the event by a tick.
 * @param {HTMLElement} field
 * @param {() => void} onEnd called with the field's final text in place
 * @returns {() => boolean} whether a composition is under way
 */
export function watchComposition(field, onEnd) {
  let composing = false;
  let timer = 0;
  field.addEventListener("compositionstart", () => {
    clearTimeout(timer);
    composing = true;
  });
  field.addEventListener("compositionend", () => {
    timer = setTimeout(() => {
      composing = false;
      onEnd();
    }, 0);
  });
  return () => composing;
}
