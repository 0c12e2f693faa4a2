/** The chat page: joins the line, the store, the messages and the composer. docs/protocol.md names the frames. */

import { createComposer } from "./composer.js";
import { loadOlder } from "./older.js";
import { createPanels } from "./panels.js";
import { createLog } from "./render.js";
import { followBottom } from "./scroll.js";
import { openLine } from "./socket.js";
import { recall, remember } from "./storage.js";
import { Store } from "./store.js";

const root = /** @type {HTMLElement} */ (document.querySelector("[data-chat]"));
const { conversation, socket, event: lastEvent, state, limit } = root.dataset;
const get = (name) => /** @type {HTMLElement} */ (root.querySelector(`[data-${name}]`));
const words = get("words").content;
const say = (key) => words.querySelector(`[data-word="${key}"]`).textContent;

const store = new Store(Number(lastEvent));
const log = createLog(root, say);
const panels = createPanels(root, say);
const outboxKey = `anban.outbox.${conversation}`;
const title = document.title;
let unread = 0; // came while another tab was in front
let below = 0; // came below what is in sight
let reminder = 0;
/** @type {{notice: string, about: string, html: string}[]} */
let waiting = []; // notices

const scroll = followBottom(get("scroll"), log.list, showPill);
const composer = createComposer(get("composer"), { conversation, limit: Number(limit), say, send, stop });

// --- the page as it came ---------------------------------------------------------------------------------------------

for (const { dataset } of log.list.querySelectorAll("[data-id]")) store.know(dataset.id, dataset.state);
if (state === "left") leave();
log.restamp();
scroll.toEnd();
showReplying();
// Written before a reload and not confirmed. The server knows them by their id, so sending them again is safe.
for (const pending of JSON.parse(recall(outboxKey, "sessionStorage") ?? "[]")) {
  if (store.left || log.find("client", pending.client_id)) continue;
  store.owe(pending);
  log.pending(pending);
}

const line = root.hasAttribute("data-blocked")
  ? { send: () => false, look() {} }
  : openLine(new URL(socket, location.href.replace(/^http/, "ws")).href, {
      frame: receive,
      line: (up) => panels.line(up, () => line.look()),
      ended: panels.ended,
    });
if (get("notice").open) showNotices([noticeOfPage()]);

loadOlder(get("scroll"), log.list, say("older_failed"), (older) => {
  for (const { dataset } of older.querySelectorAll("[data-id]")) store.know(dataset.id, dataset.state);
  scroll.keep(() => log.prepend(older));
});

// --- what the server says --------------------------------------------------------------------------------------------

/** @param {any} frame */
function receive(frame) {
  const wasLeft = store.left;
  for (const change of store.receive(frame)) show(change);
  switch (frame.kind) {
    case "ready":
      if (wasLeft && frame.state !== "left") return location.reload();
      if (frame.state === "left") leave();
      panels.human(frame.state === "human");
      showNotices(frame.notices);
      if (frame.event > store.since) line.send({ type: "resume", since: store.since });
      for (const pending of store.outbox) if (pending.state === "sending") deliver(pending);
      break;
    case "reload":
      return location.reload();
    case "conversation.returned":
      return wasLeft && location.reload();
    case "conversation.left":
      leave();
      break;
    case "conversation.human":
      panels.human(frame.in_charge, frame.name);
      break;
    case "help.card":
      panels.help(frame.html);
      break;
    case "notice.raised":
      if (!waiting.some((one) => one.notice === frame.notice)) showNotices([...waiting, frame]);
      break;
    case "notice.acknowledged":
      showNotices(waiting.filter((one) => one.notice !== frame.notice));
      break;
    case "refused":
    case "error":
      if (frame.code === "failed") panels.helpAway();
      if (!frame.id) panels.bar({ text: frame.text, label: frame.link?.label, href: frame.link?.url });
  }
  keepOutbox();
  showReplying();
}

/** @param {import("./store.js").Change} change */
function show({ put, instead, pending, why, link, grow, show, text, drop }) {
  if (grow) log.grow(grow, text);
  else if (show) log.show(show, text);
  else if (drop) log.drop("id", drop);
  else if (pending) log.pending(pending, why, link);
  else if (put && log.put(put, instead) && put.author !== "user") arrived();
}

function arrived() {
  if (!scroll.following) below++;
  showPill();
  if (document.hidden) document.title = `(${++unread}) ${title}`;
}

function showPill() {
  if (scroll.following) below = 0;
  get("pill").hidden = scroll.following;
  get("new").textContent = below ? `${below} ${say("new")}` : "";
}

/** Said once when a reply begins, and again when it takes long; the finished reply is read by the log itself. */
function showReplying() {
  const busy = store.running !== null;
  composer.replying(busy);
  if (busy === Boolean(reminder)) return;
  clearInterval(reminder);
  reminder = busy ? setInterval(() => panels.status(say("still_writing")), 10_000) : 0;
  panels.status(busy ? say("writing") : "");
}

// --- what the person does --------------------------------------------------------------------------------------------

/** @param {string} text @returns {boolean} whether it was taken */
function send(text) {
  const fits = [...text].length <= Number(limit);
  panels.bar(fits ? null : { text: say("too_long") });
  if (!fits) return false;
  const pending = { client_id: newId(), text, at: new Date().toISOString(), state: "sending" };
  store.owe(pending);
  log.pending(pending);
  scroll.toEnd();
  deliver(pending);
  keepOutbox();
  return true;
}

const deliver = ({ client_id, text }) => line.send({ type: "message", id: client_id, text });

function keepOutbox() {
  remember(outboxKey, store.outbox.length ? JSON.stringify(store.outbox) : "", "sessionStorage");
}

function stop() {
  line.send({ type: "stop" });
}

/** @param {{notice: string, about: string, html: string}[]} notices */
function showNotices(notices) {
  const had = waiting.length;
  waiting = notices;
  panels.notices(waiting, acknowledge);
  if (waiting.length) line.send({ type: "shown", notice: waiting[0].notice });
  else if (had) composer.field.focus();
}

function noticeOfPage() {
  const body = get("notice-body");
  return { notice: get("notice").querySelector("[name=notice]").value, about: body.dataset.about, html: body.innerHTML };
}

function acknowledge(notice, answer) {
  return line.send({ type: "acknowledge", notice, answer });
}

/** From here on nothing of the persona is shown, whatever is still on its way. */
function leave() {
  for (const change of store.leave()) show(change);
  for (const node of log.list.querySelectorAll(".message:not([data-id])")) node.remove();
  panels.left();
}

/** A random UUID. crypto.randomUUID would need https, which a house on a local network may not have. */
function newId() {
  const random = crypto.getRandomValues(new Uint8Array(31));
  let i = 0;
  return "xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx".replace(/x/g, () => (random[i++] & 15).toString(16));
}

const acts = {
  async copy(node, button) {
    await log.copy(node);
    const label = button.textContent;
    button.textContent = say("copied");
    panels.status(say("copied"));
    setTimeout(() => (button.textContent = label), 1500);
  },
  regenerate: (node) => line.send({ type: "regenerate", message: node.dataset.id }),
  retry: (node) => line.send({ type: "retry", message: node.dataset.id }),
  report(node, link) {
    link.search = `?message=${node.dataset.id}`; // a cloned message got its id after its link
  },
  resend({ dataset }) {
    const pending = store.outbox.find((one) => one.client_id === dataset.client);
    pending.state = "sending";
    log.pending(pending);
    deliver(pending);
  },
  edit: (node) => composer.edit(acts.remove(node).text),
  remove({ dataset }) {
    const pending = store.take(dataset.client);
    log.drop("client", dataset.client);
    keepOutbox();
    return pending;
  },
};

log.list.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-act]");
  if (button) acts[button.dataset.act](button.closest(".message"), button);
});

// A long press does for a finger what hovering does for a mouse.
let press = 0;
const passive = { passive: true };
log.list.addEventListener("touchstart", ({ target }) => {
  press = setTimeout(() => {
    log.list.querySelector(".is-open")?.classList.remove("is-open");
    target.closest(".message-ai")?.classList.add("is-open");
  }, 450);
}, passive);
for (const name of ["touchend", "touchmove", "touchcancel"])
  log.list.addEventListener(name, () => clearTimeout(press), passive);

document.addEventListener("copy", log.label);
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing || composer.composing() || !store.running) return;
  if (!document.querySelector("dialog[open], details[open]")) stop();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  unread = 0;
  document.title = title;
  log.restamp();
});
get("pill").addEventListener("click", () => {
  scroll.toEnd();
  composer.field.focus();
});
// One tap ends it. Without a line the browser posts the form, which does the same.
get("leave").addEventListener("submit", (event) => {
  if (!line.send({ type: "leave" })) return;
  event.preventDefault();
  leave();
  keepOutbox();
  showReplying();
});
get("enter").checked = recall("anban.enter") !== "newline";
get("enter").addEventListener("change", ({ target }) => remember("anban.enter", target.checked ? "" : "newline"));
// Where the page is not told of the keyboard (iOS), the room that is left is measured; a pinch is no keyboard.
visualViewport?.addEventListener("resize", () => {
  if (visualViewport.scale < 1.01) root.style.setProperty("--room", `${visualViewport.height}px`);
});
