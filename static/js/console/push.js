// The bell at the top says at a glance whether this device rings while the page is closed; its dialog changes it.
import { notifications } from "../push.js";

export function push() {
  const button = document.querySelector("[data-bell]");
  const dialog = document.querySelector("[data-bell-dialog]");
  button.addEventListener("click", () => dialog.showModal());
  notifications(dialog.querySelector("[data-push]"), (state) => {
    button.hidden = false;
    button.dataset.bell = state === "on" ? "on" : "off";
    button.ariaLabel = state === "on" ? dialog.dataset.sayOn : dialog.dataset.sayOff;
  });
}
