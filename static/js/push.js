// "Notifications on this device": templates/components/push.html brought to life.
//
// Whoever turned them on in this browser is remembered here, so that the next login of the same person finds them on
// and the login of somebody else does not.

const WORKER = "/sw.js";
const WISH = "anban-push";
const LIMIT = 20_000; // milliseconds; the test waits for the browser's push service

/** @typedef {"unset" | "unsupported" | "iphone" | "blocked" | "off" | "on"} State */

/**
 * @param {HTMLElement} root
 * @param {(state: State) => void} [changed]
 */
export function notifications(root, changed = () => {}) {
  const { dataset } = root;
  const said = root.querySelector("[data-said]");
  const buttons = [...root.querySelectorAll("button")];

  /** @param {State} state */
  function show(state) {
    for (const one of root.querySelectorAll("[data-when]")) one.hidden = one.dataset.when !== state;
    root.dataset.state = state;
    root.hidden = false;
    changed(state);
  }

  /** What can be told without asking anybody. @returns {State | ""} */
  function obstacle() {
    if (!dataset.key) return "unset";
    if (!("serviceWorker" in navigator && "PushManager" in window && "Notification" in window))
      return onIphone() ? "iphone" : "unsupported";
    return Notification.permission === "denied" ? "blocked" : "";
  }

  async function current() {
    const registration = await navigator.serviceWorker.getRegistration("/");
    return (await registration?.pushManager.getSubscription()) ?? null;
  }

  /** A subscription of this browser for this server and person, kept by the server. Throws a sentence or nothing. */
  async function subscribe() {
    let there = await current();
    if (there && (localStorage.getItem(WISH) !== dataset.person || !sameKey(there, dataset.key))) {
      await there.unsubscribe(); // somebody else's, or for a key that is gone
      there = null;
    }
    await navigator.serviceWorker.register(WORKER, { scope: "/", updateViaCache: "none" });
    const registration = await navigator.serviceWorker.ready;
    const applicationServerKey = bytes(dataset.key);
    there ??= await registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey });
    try {
      await post(dataset.url, there.toJSON());
    } catch (problem) {
      if (problem instanceof Refused) await there.unsubscribe();
      throw problem;
    }
    localStorage.setItem(WISH, dataset.person);
  }

  async function start() {
    const stuck = obstacle();
    if (stuck) return show(stuck);
    show("off");
    if (Notification.permission !== "granted" || localStorage.getItem(WISH) !== dataset.person) return;
    try {
      await subscribe(); // the server may have forgotten this browser, with its last login
      show("on");
    } catch (problem) {
      say(problem);
    }
  }

  let busy = false;
  /** One act at a time; what it says stands below the buttons. @param {() => Promise<string | void>} act */
  function on(name, act) {
    const button = root.querySelector(`[data-act=${name}]`);
    button.addEventListener("click", async () => {
      if (busy) return;
      busy = true;
      said.textContent = "";
      try {
        said.textContent = (await act()) ?? "";
      } catch (problem) {
        say(problem);
      } finally {
        busy = false;
      }
      if (button.hidden) buttons.find((one) => !one.hidden)?.focus();
    });
  }

  on("on", async () => {
    await Notification.requestPermission();
    const stuck = obstacle();
    if (stuck) return show(stuck);
    if (Notification.permission !== "granted") return; // closed without an answer
    await subscribe();
    show("on");
    return dataset.sayOn;
  });
  on("off", async () => {
    await post(dataset.offUrl, {});
    localStorage.removeItem(WISH);
    await (await current())?.unsubscribe();
    show("off");
    return dataset.sayOff;
  });
  on("test", async () => (await post(dataset.testUrl, {})).said);

  /** @param {unknown} problem */
  const say = (problem) => (said.textContent = problem instanceof Refused ? problem.message : dataset.sayFailed);

  /** @param {string} url @param {object} content */
  async function post(url, content) {
    const answer = await fetch(url, {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        "X-CSRFToken": root.querySelector("[name=csrfmiddlewaretoken]").value,
      },
      body: JSON.stringify(content),
      redirect: "error",
      signal: AbortSignal.timeout(LIMIT),
    });
    if (answer.status === 204) return {};
    const told = await answer.json();
    if (!answer.ok) throw new Refused(told.problem);
    return told;
  }

  void start();
}

/** The server's sentence for what it does not do. */
class Refused extends Error {}

/** There, only pages on the home screen may notify. */
const onIphone = () =>
  /iPhone|iPad|iPod/.test(navigator.userAgent) || (/Macintosh/.test(navigator.userAgent) && navigator.maxTouchPoints > 1);

/** @param {string} base64url */
const bytes = (base64url) =>
  Uint8Array.from(atob(base64url.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0));

/** @param {PushSubscription} subscription @param {string} key */
function sameKey(subscription, key) {
  const theirs = subscription.options?.applicationServerKey;
  if (!theirs) return true; // not every browser tells
  const [one, other] = [new Uint8Array(theirs), bytes(key)];
  return one.length === other.length && one.every((byte, place) => byte === other[place]);
}
