// Sphinx's search asks this for the score of each result: chapters come before reference pages, even
// before those that have an entry for the word.
var Scorer = {
  score: ([docname, , , , score]) => score + (CHAPTERS.includes(docname) ? 200 : 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};

// A page that was opened as a file can fetch no other.
if (location.protocol === "file:") {
  const root = new URL(document.documentElement.dataset.content_root, location).href;
  window.fetch = async (address) => {
    const page = new URL(address, location).href.slice(root.length).replace(/\.html$/, "");
    return { text: async () => TEXTS[page] ?? "" };
  };
}
