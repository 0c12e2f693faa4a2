/** Earlier messages come by themselves when their place comes near; the link does the same for a keyboard. */

/**
 * @param {HTMLElement} view what scrolls
 * @param {HTMLElement} list
 * @param {string} failed what the link says after a failure; one more click tries again
 * @param {(older: DocumentFragment) => void} put
 */
export function loadOlder(view, list, failed, put) {
  let loading = false;
  const near = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && load(), {
    root: view,
    rootMargin: "600px 0px 0px",
  });

  function watch() {
    const place = list.querySelector(".older");
    if (place) near.observe(place);
  }

  async function load() {
    const link = list.querySelector(".older a");
    if (!link || loading) return;
    loading = true;
    near.disconnect();
    try {
      const response = await fetch(link.href);
      if (!response.ok || response.redirected) throw new Error(String(response.status));
      const template = document.createElement("template");
      template.innerHTML = await response.text();
      put(template.content);
      watch();
    } catch {
      link.textContent = failed;
    }
    loading = false;
  }

  list.addEventListener("click", (event) => {
    if (!event.target.closest(".older a")) return;
    event.preventDefault();
    load();
  });
  requestAnimationFrame(watch); // after the first scroll to the end
}
