// On a phone the rows of some tables stand as blocks of lines: of those that the book marks, and of
// tables of texts that are wider than the screen. Tables of numbers scroll. The style sheet makes
// the blocks; here each cell gets the name of its column.
addEventListener("DOMContentLoaded", () => {
  const phone = matchMedia("(max-width: 600px)");
  const boxes = [...document.querySelectorAll(".bd-content .pst-scrollable-table-container")];
  const marked = boxes.filter((box) => box.matches(".stacked-table *"));
  const texts = boxes.filter(
    (box) => !marked.includes(box) && !box.querySelector("td.text-right, .number"),
  );
  for (const box of [...marked, ...texts]) {
    const names = [...box.querySelectorAll("thead th")].map((cell) => cell.textContent.trim());
    for (const row of box.querySelectorAll("tbody tr")) {
      [...row.cells].forEach((cell, place) => {
        if (place === 0 || !cell.textContent.trim() || !names[place]) return;
        const name = document.createElement("span");
        name.className = "column-name";
        name.textContent = names[place].endsWith("?") ? `${names[place]} ` : `${names[place]}: `;
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
