// Keyboard users must be able to reach what scrolls; the theme sees to some of it, as it loads.
// What is hidden on the right is shown to be there.
addEventListener("DOMContentLoaded", () => {
  const boxes = [
    ".figure-pairs",
    ".plotly-scroll",
    ".pst-scrollable-table-container",
    ".verdict-box",
    ".bd-content div.cell_output .text_html",
    ".bd-content div.math",
    "figure.wide-drawing",
    "pre",
  ];
  const mark = (box) => {
    const more = box.scrollLeft + box.clientWidth < box.scrollWidth - 1;
    box.toggleAttribute("data-more", more);
  };
  const resized = new ResizeObserver((entries) => {
    for (const { target: box } of entries) {
      const scrolls = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight;
      if (scrolls) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
      mark(box);
    }
  });
  for (const box of document.querySelectorAll(boxes.join())) {
    resized.observe(box);
    box.addEventListener("scroll", () => mark(box), { passive: true });
  }
});
