// Filters of the claims dashboard: rows of other sections, settings or verdicts are hidden.
(() => {
  const board = document.querySelector(".dashboard");
  if (!board) return;
  const form = board.querySelector("form");
  const claims = [...board.querySelectorAll("details")];
  const filter = () => {
    const wanted = [...new FormData(form)].filter(([, value]) => value);
    let verdicts = 0;
    for (const claim of claims) {
      const rows = [...claim.querySelectorAll("tbody tr")];
      const kept = rows.filter((row) => wanted.every(([name, value]) => row.dataset[name] === value));
      for (const row of rows) row.hidden = !kept.includes(row);
      claim.hidden = wanted.length > 0 && !kept.length;
      verdicts += kept.length;
    }
    const shown = claims.filter((claim) => !claim.hidden).length;
    board.querySelector(".dashboard-shown").textContent = wanted.length
      ? `Shown: ${shown} claims, ${verdicts} verdicts.`
      : "";
  };
  form.addEventListener("input", filter);
  filter();
})();
