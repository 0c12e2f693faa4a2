/** "Notifications on this device" on a guardian's page. */

import { notifications } from "../push.js";

for (const root of document.querySelectorAll("[data-push]")) notifications(root);
