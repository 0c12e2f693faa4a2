/** The list of chats: times in the reader's own words, and where something was written and not sent. */

import { recall } from "./storage.js";
import { stamp } from "./time.js";

for (const row of document.querySelectorAll("[data-conversation]")) {
  const time = row.querySelector("time");
  if (time) time.textContent = stamp(new Date(time.dateTime), new Date(), document.documentElement.lang);
  row.querySelector("[data-draft]").hidden = !recall(`anban.draft.${row.dataset.conversation}`);
}
