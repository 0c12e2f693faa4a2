/** The messages on the page. Each is cloned from the template that the server used, so there is one shape of it. */

import { needsStamp, stamp } from "./time.js";

/**
 * @param {HTMLElement} root
 * @param {(key: string) => string} say translated words
 */
export function createLog(root, say) {
  const list = /** @type {HTMLElement} */ (root.querySelector("[role=log]"));
  const language = document.documentElement.lang;
  /** @type {Map<string, string>} text so far of replies being written */
  const texts = new Map();
  let painting = 0;

  const find = (name, value) => list.querySelector(`[data-${name}="${CSS.escape(value)}"]`);
  const body = (node) => node.querySelector(".message-body");
  const make = (author) =>
    root.querySelector(`template[data-message="${author}"]`).content.firstElementChild.cloneNode(true);

  /** Paragraphs as the server makes them, so that the final HTML takes their place without a jump. */
  function write(node, text) {
    const place = body(node);
    const parts = text ? text.split("\n\n") : [];
    parts.forEach((part, i) => {
      const p = place.children[i] ?? place.appendChild(document.createElement("p"));
      if (p.textContent !== part) p.textContent = part; // finished ones stay, and so does a selection in them
    });
    while (place.children.length > parts.length) place.lastChild.remove();
  }

  function paint() {
    painting = 0;
    for (const [id, text] of texts) {
      const node = find("id", id);
      if (node) write(node, text.replaceAll("**", "")); // Markdown comes with the final HTML
    }
  }

  function date(node, at) {
    const time = node.querySelector("time");
    node.dataset.at = time.dateTime = at;
    time.textContent = stamp(new Date(at), new Date(), language);
  }

  /** The times between groups, worked out from what is there: messages come at both ends. */
  function restamp() {
    const now = new Date();
    let before = null;
    for (const old of list.querySelectorAll(".stamp")) if (!old.nextElementSibling?.dataset.at) old.remove();
    for (const node of list.querySelectorAll(".message")) {
      const at = new Date(node.dataset.at);
      let mark = node.previousElementSibling?.matches(".stamp") ? node.previousElementSibling : null;
      if (needsStamp(before, at)) {
        if (!mark) {
          mark = document.createElement("p");
          mark.className = "stamp";
          mark.ariaHidden = "true"; // every message carries its time for a screen reader
          node.before(mark);
        }
        const text = stamp(at, now, language);
        if (mark.textContent !== text) mark.textContent = text;
      } else mark?.remove();
      before = at;
    }
  }

  return {
    list,
    find,
    restamp,

    /** @param {import("./store.js").Pending} pending @param {string} [why] @param {{url: string, label: string}} [link] */
    pending({ client_id, text, at, state }, why = "", link) {
      let node = find("client", client_id);
      if (!node) {
        node = make("user");
        node.dataset.client = client_id;
        write(node, text);
        date(node, at);
        list.append(node);
        restamp();
      }
      node.dataset.state = state;
      node.querySelector("[data-why]").textContent = why;
      const step = node.querySelector("[data-link]");
      step.hidden = !link;
      if (link) Object.assign(step, { href: link.url, textContent: link.label });
    },

    /** @param {import("./store.js").Message} message @param {string} [instead] client id of the echo it replaces */
    put(message, instead) {
      const known = (instead && find("client", instead)) || find("id", message.id);
      const node = known ?? make(message.author);
      const { id, state } = message;
      Object.assign(node.dataset, { id, state });
      if (message.name) node.querySelector("[data-name]").textContent = message.name;
      if (message.note !== undefined && message.author === "ai")
        node.querySelector("[data-note]").textContent = message.note;
      if (message.at) date(node, message.at);
      if (state === "streaming") {
        node.ariaLive = "off"; // read once when it is whole, not word by word
        texts.set(id, "");
      } else {
        texts.delete(id);
        node.ariaLive = null;
        if (message.html !== undefined) body(node).innerHTML = message.html;
      }
      // What the server knows stands above what it has not confirmed.
      const waiting = list.querySelector(".message:not([data-id])");
      if (!known || (waiting && node.compareDocumentPosition(waiting) & Node.DOCUMENT_POSITION_PRECEDING))
        list.insertBefore(node, waiting);
      restamp();
      return !known;
    },

    grow(id, text) {
      texts.set(id, (texts.get(id) ?? "") + text);
      painting ||= requestAnimationFrame(paint);
    },

    /** The whole text so far. */
    show(id, text) {
      texts.set(id, text);
      paint();
    },

    drop(name, value) {
      find(name, value)?.remove();
      restamp();
    },

    /** @param {DocumentFragment} older messages, and perhaps the link to still older ones */
    prepend(older) {
      list.querySelector(".older")?.remove();
      for (const node of older.querySelectorAll("[data-id]")) if (find("id", node.dataset.id)) node.remove();
      list.prepend(older);
      restamp();
    },

    /** What a person takes away keeps its label. @param {HTMLElement} node */
    async copy(node) {
      if (navigator.clipboard) return navigator.clipboard.writeText(`${body(node).innerText.trim()}\n${say("label")}`);
      getSelection()?.selectAllChildren(body(node)); // plain http; the copy event adds the label
      document.execCommand("copy");
    },

    /** @param {ClipboardEvent} event a selection copied by hand: labelled when it holds AI text */
    label(event) {
      const selection = getSelection();
      if (selection.isCollapsed) return;
      const bodies = [...list.querySelectorAll(".message-ai .message-body")];
      if (!bodies.some((part) => selection.containsNode(part, true))) return;
      event.clipboardData.setData("text/plain", `${selection.toString().trim()}\n${say("label")}`);
      event.preventDefault();
    },
  };
}
