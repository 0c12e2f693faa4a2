/** Everything around the messages: the line, help, the notice, a person in charge, the end of the conversation. */

/**
 * @typedef {{text: string, label?: string, href?: string, run?: () => void}} Said one sentence and one next step
 * @param {HTMLElement} root
 * @param {(key: string) => string} say translated words
 */
export function createPanels(root, say) {
  const get = (name) => /** @type {HTMLElement} */ (root.querySelector(`[data-${name}]`));
  const dialog = /** @type {HTMLDialogElement} */ (get("notice"));
  const reload = () => location.reload();
  let later = 0;
  let confirmed = !dialog.open;

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

  // Chromium lets a second Escape through, so the key itself is taken away, and a closed dialog opens again.
  dialog.addEventListener("keydown", (event) => event.key === "Escape" && event.preventDefault());
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.addEventListener("close", () => confirmed || dialog.showModal());

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
      else if (code === 4403 || code === 4404) panels.bar({ text: say("not_here"), label: say("chats"), href: chats });
      else if (code === 4408) panels.bar({ text: say("many_tabs"), label: say("use_here"), run: reload });
      else panels.bar({ text: say("confused"), label: say("reload"), run: reload });
    },

    /** Read out as well, with its first number: it stands beside the messages. @param {string} html made by the server */
    help(html) {
      const place = get("help");
      place.innerHTML = html;
      place.hidden = false;
      const first = place.querySelectorAll(".help-card-text, .help-card-lines li:first-child > :is(strong, a)");
      panels.status([...first].map((part) => part.textContent.trim()).join(" "));
    },

    /** @param {boolean} inCharge a person of the team answers instead of the AI @param {string} [name] */
    human(inCharge, name) {
      if (name) get("human-name").textContent = name;
      get("human").hidden = !inCharge;
    },

    /**
     * Notices that wait for an answer, one after the other.
     * @param {{notice: string, about: string, html: string}[]} waiting
     * @param {(notice: string, answer: string) => boolean} acknowledge says whether the server was told; otherwise the
     *   form is posted
     */
    notices(waiting, acknowledge) {
      const [first] = waiting;
      const form = dialog.querySelector("form");
      confirmed = !first;
      if (!first) return dialog.close();
      if (form.elements.notice.value !== first.notice) {
        form.elements.notice.value = first.notice;
        get("notice-body").innerHTML = first.html;
        get("notice-body").dataset.about = first.about;
      }
      if (!dialog.matches(":modal")) {
        dialog.removeAttribute("open");
        dialog.showModal();
      }
      form.onsubmit = (event) => {
        if (acknowledge(form.elements.notice.value, event.submitter?.value ?? "understood")) event.preventDefault();
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
