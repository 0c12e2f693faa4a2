// Shows a notice and opens its page. It keeps nothing: no cache, and no page goes through it.

const SUBSCRIPTION = "/push/";
const LONGEST = 200; // characters

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("push", (event) => event.waitUntil(show(event.data)));
self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(openPage(event.notification.data?.url));
});
self.addEventListener("pushsubscriptionchange", (event) => event.waitUntil(renew(event.newSubscription)));

/** Browsers take the right away from workers that are woken and show nothing: so always something. */
async function show(data) {
  let notice = {};
  try {
    notice = data.json() ?? {};
  } catch {
    // not ours, or not whole
  }
  const tag = text(notice.tag);
  await self.registration.showNotification(text(notice.title) || "Anban 安伴", {
    body: text(notice.body),
    tag,
    renotify: Boolean(tag), // the same case again rings again, in one place
    requireInteraction: true,
    data: { url: text(notice.url, 1000) },
  });
}

/** Only ever a page of this site. */
async function openPage(path) {
  const url = new URL(path || "/", self.location.origin);
  if (url.origin !== self.location.origin) url.href = self.location.origin;
  const open = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const there = open.find((one) => one.url.split("#")[0] === url.href.split("#")[0]);
  await (there ? there.focus() : self.clients.openWindow(url.href));
}

/** The browser's maker gave this browser another address. Without a login that had one before, it gets none. */
async function renew(given) {
  const options = { credentials: "same-origin", cache: "no-store" };
  const { key, token } = await (await fetch(SUBSCRIPTION, options)).json();
  if (!key) return;
  const fresh =
    given ?? (await self.registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key }));
  const answer = await fetch(SUBSCRIPTION, {
    ...options,
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRFToken": token },
    body: JSON.stringify({ ...fresh.toJSON(), renewing: true }),
  });
  if (!answer.ok) await fresh.unsubscribe();
}

/** @param {unknown} value */
const text = (value, longest = LONGEST) => (typeof value === "string" ? value.slice(0, longest) : "");
