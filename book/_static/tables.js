// On a phone a table of texts that is wider than the screen stands as blocks of lines: the style
// sheet does that, and here each cell gets the name of its column. Tables of numbers scroll.
addEventListener("DOMContentLoaded", () => {
  const phone = matchMedia("(max-width: 600px)");
  const within = ".bd-content .pst-scrollable-table-container";
  const boxes = [...document.querySelectorAll(within)].filter(
    (box) => box.querySelector("thead") && !box.matches(".stacked-table *"),
  );
  const texts = boxes.filter((box) => !box.querySelector("td.text-right, .number"));
  for (const box of texts) {
    const names = [...box.querySelectorAll("thead th")].map((cell) => cell.textContent.trim());
    for (const row of box.querySelectorAll("tbody tr")) {
      [...row.cells].forEach((cell, place) => {
        if (place === 0 || !cell.textContent.trim() || !names[place]) return;
        const name = document.createElement("span");
        name.className = "column-name";
        name.textContent = `${names[place]}: `;
        (cell.querySelector(":scope > p") ?? cell).prepend(name);
      });
    }
  }
  const stack = () => {
    for (const box of texts) {
      box.classList.remove("stacked-table");
      const wide = box.scrollWidth > box.clientWidth + 1;
      box.classList.toggle("stacked-table", phone.matches && wide);
    }
  };
  stack();
  phone.addEventListener("change", stack);
});
