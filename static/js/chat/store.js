/**
 * What the page knows of a conversation: the messages it has, those it still owes the server, the reply being written.
 * No DOM in here. `receive` takes a frame and says what to change; the same frame twice changes nothing.
 *
 * @typedef {{id: string, author: string, state: string, client_id?: string | null, html?: string, note?: string,
 *            at?: string, name?: string}} Message
 * @typedef {{client_id: string, text: string, at: string, state: "sending" | "failed" | "refused"}} Pending
 * @typedef {{put?: Message, instead?: string, pending?: Pending, why?: string, link?: {url: string, label: string},
 *            grow?: string, show?: string, text?: string, drop?: string}} Change
 */

const PASSING = new Set(["notice", "too_fast"]);

export class Store {
  /** @type {Map<string, string>} message id → state */
  #states = new Map();
  /** characters (code points, as the server counts) of the running reply that are on the page */
  #shown = 0;
  /** @type {Pending[]} in the order they were written */
  outbox = [];
  left = false;
  /** @type {string | null} id of the reply being written */
  running = null;

  /** @param {number} since the last event that the page has seen */
  constructor(since) {
    this.since = since;
  }

  /** A message that came with the page. */
  know(id, state) {
    this.#states.set(id, state);
    if (state === "streaming") this.#run(id, "");
  }

  /** A message shown at once and owed to the server until it names it back. @param {Pending} pending */
  owe(pending) {
    this.outbox.push(pending);
  }

  /** @returns {Pending | undefined} the message taken out of the outbox */
  take(client_id) {
    const place = this.outbox.findIndex((one) => one.client_id === client_id);
    return place < 0 ? undefined : this.outbox.splice(place, 1)[0];
  }

  /** What is on its way is dropped, and nothing of the persona is shown any more. @returns {Change[]} */
  leave() {
    const id = this.running;
    this.left = true;
    this.outbox = [];
    this.running = null;
    if (!id) return [];
    this.#states.set(id, "stopped");
    return [{ put: { id, author: "ai", state: "stopped" } }];
  }

  /** @param {any} frame @returns {Change[]} */
  receive(frame) {
    // The number in `ready` is how far the server is, not how far this page is.
    if (frame.kind !== "ready" && frame.event > this.since) this.since = frame.event;
    if (this.left && (frame.kind.startsWith("reply.") || frame.message?.author === "ai")) return [];
    switch (frame.kind) {
      case "ready":
        // A reply that began while this page was away comes in its place, with what `resume` brings.
        return frame.reply && !this.left ? this.#snapshot(frame.reply.id, frame.reply.text) : [];
      case "message.created":
      case "reply.started":
      case "reply.finished":
        return this.#put(frame.message);
      case "reply.delta":
        return this.#grow(frame);
      case "reply.snapshot":
        return this.#snapshot(frame.message, frame.text);
      case "reply.replaced":
        return this.#put({ id: frame.message, author: "ai", state: "replaced" });
      case "conversation.left":
        return this.leave();
      case "refused":
      case "error":
        return this.#fail(frame);
    }
    return [];
  }

  /** @param {Message} message @returns {Change[]} */
  #put(message) {
    const { id, state } = message;
    const known = this.#states.get(id);
    const instead = message.client_id && this.take(message.client_id) ? message.client_id : undefined;
    // A replay tells old news: a finished reply does not start again, a replaced one does not come back.
    if (known === "replaced" || (known && state === "streaming")) return [];
    this.#states.set(id, state);
    if (state === "streaming") this.#run(id, "");
    else if (this.running === id) this.running = null;
    if (state === "replaced") return [{ drop: id }];
    return [{ put: message, instead }];
  }

  #run(id, text) {
    this.running = id;
    this.#shown = [...text].length;
  }

  /** Overlap is cut off; after a gap nothing grows until a snapshot or the finished reply fills it. @returns {Change[]} */
  #grow({ message, offset, text }) {
    if (this.running !== message || offset > this.#shown) return [];
    const fresh = [...text].slice(this.#shown - offset);
    this.#shown += fresh.length;
    return fresh.length ? [{ grow: message, text: fresh.join("") }] : [];
  }

  /** @returns {Change[]} */
  #snapshot(id, text) {
    if (this.running !== id) return [];
    this.#run(id, text);
    return [{ show: id, text }];
  }

  /** A refusal is an answer; only what passes by itself is worth another try. @returns {Change[]} */
  #fail({ kind, id, code, text, link }) {
    const pending = this.outbox.find((one) => one.client_id === id);
    if (!pending) return [];
    pending.state = kind === "error" || PASSING.has(code) ? "failed" : "refused";
    return [{ pending, why: text, link }];
  }
}
