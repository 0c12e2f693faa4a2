/** The chat page: joins the line, the store, the messages and the composer. docs/protocol.md names the frames. */

import { createAsk } from "./ask.js";
import { createClock, watchPresence } from "./clock.js";
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
/** @typedef {{notice: string, about: string, html: string}} Notice */
/** @type {Notice[]} */
let waiting = []; // as the server knows them
/** @type {Map<string, object>} */
const answers = new Map(); // notice → the frame with its answer, until the server confirms it
const aside = new Set(); // notices that stepped back for a help card or a human
let shown = ""; // the notice of which the server knows that it was in sight
/** @type {object | null} */
let farewell = null; // the frame with which this page left, until the server confirms it
let usage = { minutes_left: null, quiet_until: null };
let met = false; // the line was ready once
/** @type {import("./store.js").Message | null} */
let whole = null; // what somebody else has said to the end, in the frame that is read
let voice = null;
let aloud = null;
let heard = ""; // the last words said aloud

const scroll = followBottom(get("scroll"), log.list, showPill);
const composer = createComposer(get("composer"), { conversation, limit: Number(limit), say, send, stop });
const clock = createClock(root, say, composer.rest);
const ask = createAsk(root);

// --- the page as it came ---------------------------------------------------------------------------------------------

for (const { dataset } of log.list.querySelectorAll("[data-id]")) store.know(dataset.id, dataset.state);
if (state === "left") leave();
composer.rest("resting" in root.dataset);
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
const here = watchPresence({
  writing: () => store.running !== null,
  here: () => store.left || line.send({ type: "here" }),
});
if (get("notice").open) noticesAre([noticeOfPage()]);

loadOlder(get("scroll"), log.list, say("older_failed"), (older) => {
  for (const { dataset } of older.querySelectorAll("[data-id]")) store.know(dataset.id, dataset.state);
  scroll.keep(() => log.prepend(older));
});

// --- what the server says --------------------------------------------------------------------------------------------

/** @param {any} frame */
function receive(frame) {
  const wasLeft = store.left;
  whole = null;
  for (const change of store.receive(frame)) show(change);
  if (whole && !store.left) aloud?.came(log.find("id", whole.id), whole.author);
  switch (frame.kind) {
    case "ready":
      if (wasLeft && frame.state !== "left") {
        if (!farewell) return location.reload();
        line.send(farewell); // said while the line was down
      }
      if (frame.state === "left") leave();
      panels.human(frame.state === "human");
      shown = "";
      for (const { notice } of frame.notices) if (answers.has(notice)) line.send(answers.get(notice));
      noticesAre(frame.notices);
      timeIs(frame.usage);
      if (!met) here();
      met = true;
      if (frame.event > store.since) line.send({ type: "resume", since: store.since });
      for (const pending of store.outbox) if (pending.state === "sending") deliver(pending);
      break;
    case "reload":
      return location.reload();
    case "conversation.returned":
      return wasLeft && location.reload();
    case "conversation.left":
      farewell = null;
      leave();
      break;
    case "conversation.human":
      panels.human(frame.in_charge, frame.name);
      if (frame.in_charge) giveWay();
      break;
    case "help.card":
      panels.help(frame.html);
      giveWay();
      break;
    case "notice.raised":
      if (!waiting.some((one) => one.notice === frame.notice)) noticesAre([...waiting, frame]);
      break;
    case "notice.acknowledged":
      noticesAre(waiting.filter((one) => one.notice !== frame.notice));
      break;
    case "usage":
      timeIs(frame);
      break;
    case "policy.changed":
      here(); // limits may have changed; the answer says so
      ask.refresh();
      mayVoice(frame.voice);
      get("minors").hidden = !frame.minors;
      break;
    case "refused":
      if (["notice", "limit", "quiet"].includes(frame.code)) return waits(frame);
    // falls through
    case "error":
      if (frame.code === "failed") panels.helpAway();
      if (!frame.id) panels.bar({ text: frame.text, label: frame.link?.label, href: frame.link?.url });
  }
  keepOutbox();
  showReplying();
}

/** @param {import("./store.js").Change} change */
function show({ put, instead, pending, why, link, grow, show, text, drop }) {
  if (put && put.author !== "user" && put.state !== "streaming") whole = put;
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
  root.toggleAttribute("data-replying", busy);
  if (busy === Boolean(reminder)) return;
  clock.show(usage, busy);
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
  clock.quiet();
  ask.read();
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

// --- notices and the clock -------------------------------------------------------------------------------------------

/** @param {Notice[]} notices that wait for an answer */
function noticesAre(notices) {
  waiting = notices;
  const one = store.left ? undefined : waiting.find(({ notice }) => !answers.has(notice) && !aside.has(notice));
  if (one && composer.composing()) {
    // Half-typed pinyin would be lost with the focus.
    composer.field.addEventListener("compositionend", () => setTimeout(() => noticesAre(waiting)), { once: true });
    return;
  }
  panels.notice(one, (answer, form, button) => {
    const frame = { type: "acknowledge", notice: one.notice, answer };
    if (!tell(frame, form, button)) return false;
    answers.set(one.notice, frame);
    if (answer === "pause") leave(frame);
    else noticesAre(waiting);
    return true;
  });
  inSight();
}

/** The server notes when a notice was really seen. */
function inSight() {
  const { open } = get("notice");
  const notice = open && get("notice").querySelector("[name=notice]").value;
  if (open && !document.hidden && shown !== notice && line.send({ type: "shown", notice })) shown = notice;
}

/** Somebody is in danger, or a human is there: neither notice nor clock stands in between. */
function giveWay() {
  for (const { notice } of waiting) aside.add(notice);
  noticesAre(waiting);
  timeIs({ minutes_left: null, quiet_until: null });
}

/** What the clock or a notice refuses goes back to the draft. */
function waits({ id, code }) {
  if (store.outbox.some((one) => one.client_id === id)) composer.back(acts.remove({ dataset: { client: id } }).text);
  if (code === "limit") timeIs({ ...usage, minutes_left: 0 });
  if (code === "quiet") timeIs({ ...usage, quiet_until: "later" });
  if (code !== "notice") return;
  aside.clear();
  answers.clear();
  if (waiting.length) noticesAre(waiting);
  else location.reload(); // raised while it was to stay away; the draft is kept
}

function timeIs(standing) {
  usage = standing;
  clock.show(usage, store.running !== null);
  ask.time(usage);
}

function noticeOfPage() {
  const [body, form] = [get("notice-body"), get("notice").querySelector("form")];
  return { notice: form.elements.notice.value, html: body.innerHTML };
}

/**
 * Over the line, or with the form when the line is down. What neither of them brings is said when the line is back.
 * @param {object} frame @param {HTMLFormElement} form @param {HTMLElement} [button]
 * @returns {boolean} false: this page has no line at all, and the browser posts the form
 */
function tell(frame, form, button) {
  if (root.hasAttribute("data-blocked")) return false;
  if (!line.send(frame))
    fetch(form.action, { method: "POST", body: new FormData(form, button), redirect: "manual", keepalive: true }).catch(() => {});
  return true;
}

/**
 * From here on nothing of the persona is shown, whatever is still on its way.
 * @param {object} [frame] that tells the server; none when it was the server who said so
 */
function leave(frame) {
  farewell = frame ?? farewell;
  voice?.stop();
  aloud?.stop(); // nothing of the persona is heard either
  composer.unsay(heard);
  heard = "";
  for (const change of store.leave()) show(change);
  for (const node of log.list.querySelectorAll(".message:not([data-id])")) node.remove();
  panels.left();
  noticesAre(waiting);
  keepOutbox();
  showReplying();
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
  read: (node) => aloud.toggle(node),
  report(node, link) {
    link.search = `?message=${node.dataset.id}`; // a cloned message got its id after its link
  },
  resend({ dataset }) {
    const pending = store.outbox.find((one) => one.client_id === dataset.client);
    pending.state = "sending";
    log.pending(pending);
    deliver(pending);
  },
  edit(node) {
    composer.back(acts.remove(node).text);
    composer.field.focus();
  },
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
  inSight();
});
get("pill").addEventListener("click", () => {
  scroll.toEnd();
  composer.field.focus();
});
// One tap ends it, from the head or from a notice, with or without a line.
get("leave").addEventListener("submit", (event) => {
  const frame = { type: "leave" };
  if (tell(frame, event.target)) event.preventDefault();
  leave(frame);
});
const microphone = get("voice");
if (microphone && ("SpeechRecognition" in globalThis || "webkitSpeechRecognition" in globalThis)) {
  microphone.hidden = false;
  const hear = async () => {
    const { createVoice } = await import("./voice.js").catch(() => ({}));
    if (!createVoice) return panels.bar({ text: say("voice_failed") });
    microphone.removeEventListener("click", first);
    const begins = () => aloud?.stop();
    const ends = (spoke) => spoke && !store.left && recall("anban.spoken") === "send" && composer.submit();
    voice ??= createVoice(microphone, { say, bar: panels.bar, heard: listen, begins, ends });
  };
  const first = () => hear().then(() => voice?.start());
  // Where it is the first thing to press, the first press is already the one that counts.
  if (document.body.classList.contains("simple")) hear();
  else microphone.addEventListener("click", first);
  const sends = get("voice-send");
  for (const choice of root.querySelectorAll("[data-voice-choice]")) choice.hidden = false;
  sends.checked = recall("anban.spoken") === "send";
  sends.addEventListener("change", () => remember("anban.spoken", sends.checked ? "send" : ""));
}
if (get("aloud") && "speechSynthesis" in globalThis)
  import("./aloud.js").then(({ createAloud }) => (aloud = createAloud(root, log.list, say))).catch(() => {});

/** A guardian may turn it off while the page is open. @param {boolean} yes */
function mayVoice(yes) {
  root.toggleAttribute("data-voiceless", !yes);
  if (yes) return;
  voice?.stop();
  aloud?.stop();
}

/** What was said aloud is a draft; the server alone knows the words that mean leaving. @param {string} text */
function listen(text) {
  heard = text;
  composer.add(text);
  line.send({ type: "voice", text });
}

const enter = get("enter"); // not in simple mode
if (enter) enter.checked = recall("anban.enter") !== "newline";
enter?.addEventListener("change", ({ target }) => remember("anban.enter", target.checked ? "" : "newline"));
// Where the page is not told of the keyboard (iOS), the room that is left is measured; a pinch is no keyboard.
visualViewport?.addEventListener("resize", () => {
  if (visualViewport.scale < 1.01) root.style.setProperty("--room", `${visualViewport.height}px`);
});
