/** Everything around the messages: the line, help, the notice, a person in charge, the end of the conversation. */

/**
 * @typedef {{text: string, label?: string, href?: string, run?: () => void}} Said one sentence and one next step
 * @param {HTMLElement} root
 * @param {(key: string) => string} say translated words
 */
export function createPanels(root, say) {
  const get = (name) => /** @type {HTMLElement} */ (root.querySelector(`[data-${name}]`));
  const dialog = /** @type {HTMLDialogElement} */ (get("notice"));
  const field = get("composer").querySelector("textarea");
  const reload = () => location.reload();
  let later = 0;

  /** @param {HTMLElement} place @param {Said | null} said */
  function fill(place, said) {
    place.hidden = !said;
    place.replaceChildren(said?.text ?? "");
    if (!said?.label) return;
    const step = document.createElement(said.href ? "a" : "button");
    step.className = "button quiet";
    step.textContent = said.label;
    if (said.href) step.setAttribute("href", said.href);
    else step.addEventListener("click", said.run);
    place.append(step);
  }

  // Who is typing when it comes must not answer it with the next key.
  for (const name of ["keydown", "keyup"])
    dialog.addEventListener(name, (event) => {
      if (dialog.hasAttribute("data-fresh") && (event.key === "Enter" || event.key === " ")) event.preventDefault();
    });

  const panels = {
    /** @param {Said | null} said */
    bar: (said) => fill(get("bar"), said),
    /** @param {string} text */
    status: (text) => (get("status").textContent = text),

    /** A short loss is nobody's business; after two seconds it is said. @param {boolean} up @param {() => void} retry */
    line(up, retry) {
      clearTimeout(later);
      root.toggleAttribute("data-up", up);
      if (up) fill(get("line"), null);
      else
        later = setTimeout(() => {
          fill(get("line"), { text: say("offline"), label: say("try_now"), run: retry });
          panels.helpAway();
        }, 2000);
    },

    /** Numbers that came with the page: whoever needs help must not wait for us. A card of the server stays. */
    helpAway() {
      const place = get("help");
      if (!place.hidden) return;
      place.replaceChildren(get("help-away").content.cloneNode(true));
      place.hidden = false;
    },

    /** @param {number} code of a close after which trying again is no use */
    ended(code) {
      clearTimeout(later);
      fill(get("line"), null);
      const { login, chats } = root.dataset;
      if (code === 4401) panels.bar({ text: say("signed_out"), label: say("sign_in"), href: login });
      else if (code === 4403) reload(); // the page says why talking is over
      else if (code === 4404) panels.bar({ text: say("not_here"), label: say("chats"), href: chats });
      else if (code === 4408) panels.bar({ text: say("many_tabs"), label: say("use_here"), run: reload });
      else panels.bar({ text: say("confused"), label: say("reload"), run: reload });
    },

    /** Read out as well, with its first number: it stands beside the messages. @param {string} html made by the server */
    help(html) {
      const place = get("help");
      place.innerHTML = html;
      place.hidden = false;
      // Where the whole page scrolls, it must not lie below what is in sight.
      if (document.body.classList.contains("simple")) place.scrollIntoView({ block: "start" });
      const first = place.querySelectorAll(".help-card-text, .help-card-lines li:first-child > :is(strong, a)");
      panels.status([...first].map((part) => part.textContent.trim()).join(" "));
    },

    /** @param {boolean} inCharge a person of the team answers instead of the AI @param {string} [name] */
    human(inCharge, name) {
      if (name) get("human-name").textContent = name;
      get("human").hidden = !inCharge;
    },

    /**
     * A notice that waits for its answer, or none any more. It lies over the messages only and is not modal for the
     * browser, so that no key closes it and help and exit stay where they are; what one would talk with is inert.
     * @param {{notice: string, html: string} | undefined} notice
     * @param {(answer: string, form: HTMLFormElement, button: HTMLElement) => boolean} answer says whether it was taken;
     *   otherwise the browser posts the form
     */
    notice(notice, answer) {
      const form = dialog.querySelector("form");
      const was = dialog.open;
      const typing = field === document.activeElement;
      if (notice && form.elements.notice.value !== notice.notice) {
        form.elements.notice.value = notice.notice;
        get("notice-body").innerHTML = notice.html;
        dialog.scrollTop = 0;
        dialog.open = false; // announced anew
      }
      const opens = notice && !dialog.open;
      dialog.open = Boolean(notice);
      for (const name of ["scroll", "composer"]) get(name).inert = dialog.open;
      if (opens || (notice && document.activeElement === document.body)) {
        dialog.toggleAttribute("data-fresh", typing);
        setTimeout(() => dialog.removeAttribute("data-fresh"), 700);
        dialog.querySelector("[autofocus]").focus();
      } else if (was && !notice) field.focus({ preventScroll: true }); // with its text, and the caret where it was
      form.onsubmit = (event) => {
        if (answer(event.submitter?.value ?? "understood", form, event.submitter)) event.preventDefault();
      };
    },

    left() {
      root.toggleAttribute("data-left", true);
      get("composer").hidden = true;
      get("after").hidden = false;
      panels.bar(null);
    },
  };
  return panels;
}
