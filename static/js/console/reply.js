// Writing to the person: reviewed replies with their blanks, Ctrl+Enter, and a message that arrives once.

/**
 * @param {HTMLFormElement | null} form
 * @param {HTMLElement} body
 * @param {() => void} arrived
 */
export function reply(form, body, arrived) {
  if (!form) return;
  const field = form.elements.namedItem("text");
  const id = form.elements.namedItem("id");
  const said = form.querySelector("[data-said]");
  const send = form.querySelector("[data-send]");
  const findings = form.querySelector("[data-findings]");
  const anyway = form.elements.namedItem("anyway");
  const blanks = form.querySelector("[data-blanks]");

  function hideFindings() {
    findings.hidden = true;
    anyway.checked = false;
  }

  /** A field for each blank that is left; what is chosen stands in the text, to be seen before it is sent. */
  function showBlanks() {
    const left = [...new Set(field.value.match(/\{[a-z_]+\}/g) ?? [])];
    blanks.hidden = !left.length;
    for (const one of [...blanks.querySelectorAll("input")]) if (!left.includes(one.dataset.blank)) one.remove();
    for (const blank of left) {
      if (blanks.querySelector(`input[data-blank="${blank}"]`)) continue;
      const input = document.createElement("input");
      const list = document.querySelector(`#fill-${blank.slice(1, -1)}`);
      input.dataset.blank = blank;
      input.placeholder = list?.dataset.name ?? blank;
      input.setAttribute("aria-label", input.placeholder);
      if (list) input.setAttribute("list", list.id);
      input.addEventListener("change", () => {
        if (!input.value.trim()) return;
        field.value = field.value.replaceAll(blank, input.value.trim());
        input.remove();
        showBlanks();
        field.focus();
      });
      blanks.append(input);
    }
  }

  form.querySelector(".canned")?.addEventListener("click", (event) => {
    const link = /** @type {Element} */ (event.target).closest("[data-canned]");
    if (!link) return;
    event.preventDefault();
    field.value = field.value.trim() ? `${field.value.trimEnd()}\n${link.dataset.canned}` : link.dataset.canned;
    form.querySelector(".canned").open = false;
    hideFindings();
    showBlanks();
    field.focus();
  });
  field.addEventListener("input", () => {
    hideFindings();
    showBlanks();
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit(send);
    }
  });

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (send.disabled) return;
    send.disabled = true;
    said.textContent = "";
    try {
      const answer = await fetch(form.action, {
        method: "POST",
        body: new FormData(form),
        headers: { "X-Requested-With": "fetch" },
        redirect: "manual",
        signal: AbortSignal.timeout(10_000),
      });
      if (answer.status === 200) {
        id.value = (await answer.json()).id;
        field.value = "";
        hideFindings();
        arrived();
      } else if (answer.status === 409) {
        const refused = await answer.json();
        said.textContent = refused.problem;
        findings.hidden = !refused.findings.length;
        findings.querySelector("ul").replaceChildren(
          ...refused.findings.map((words) => Object.assign(document.createElement("li"), { textContent: words })),
        );
      } else throw new Error(String(answer.status));
    } catch {
      said.textContent = body.dataset.sayNotSent; // the same id: it cannot arrive twice
    } finally {
      send.disabled = false;
    }
  });
  showBlanks();
}
