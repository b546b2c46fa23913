// Shows the title of a term or citation on hover, on keyboard focus and on a first tap.
(() => {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.id = "tip";
  tip.setAttribute("role", "tooltip");
  tip.hidden = true;
  document.body.append(tip);
  let shown = null;

  const hide = () => {
    tip.hidden = true;
    shown?.removeAttribute("aria-describedby");
    shown = null;
  };
  const show = (link) => {
    hide();
    shown = link;
    tip.textContent = link.dataset.tip;
    tip.hidden = false;
    link.setAttribute("aria-describedby", tip.id);
    const at = link.getBoundingClientRect();
    const width = document.documentElement.clientWidth;
    const left = Math.max(8, Math.min(at.left, width - tip.offsetWidth - 8));
    const above = at.top - tip.offsetHeight - 6;
    tip.style.left = `${left}px`;
    tip.style.top = `${above > 0 ? above : at.bottom + 6}px`;
  };

  for (const link of document.querySelectorAll("main a.reference.internal[title]")) {
    link.dataset.tip = link.title;
    link.removeAttribute("title");
    link.classList.add("has-tip");
    link.addEventListener("pointerenter", (event) => {
      if (event.pointerType === "mouse") show(link);
    });
    link.addEventListener("pointerleave", hide);
    link.addEventListener("focus", () => show(link));
    link.addEventListener("blur", hide);
    // Under a finger the first tap shows the tip, the second follows the link.
    let seen = false;
    link.addEventListener("pointerdown", (event) => {
      seen = event.pointerType === "mouse" || shown === link;
    });
    link.addEventListener("click", (event) => {
      if (!seen && event.detail) {
        event.preventDefault();
        show(link);
      }
    });
  }
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
  });
  addEventListener("scroll", hide, { passive: true });
})();
