// Keyboard users must be able to reach what scrolls; the theme sees to some of it, as it loads.
addEventListener("DOMContentLoaded", () => {
  const boxes = [
    ".figure-pairs",
    ".plotly-scroll",
    ".pst-scrollable-table-container",
    ".verdict-box",
    "figure.wide-drawing",
    "pre",
  ];
  const resized = new ResizeObserver((entries) => {
    for (const { target: box } of entries) {
      const scrolls = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight;
      if (scrolls) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  });
  document.querySelectorAll(boxes.join()).forEach((box) => resized.observe(box));
});
