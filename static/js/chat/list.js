/** The list of chats: says where something was written and not sent. */

import { recall } from "./storage.js";

for (const row of document.querySelectorAll("[data-conversation]"))
  row.querySelector("[data-draft]").hidden = !recall(`anban.draft.${row.dataset.conversation}`);
