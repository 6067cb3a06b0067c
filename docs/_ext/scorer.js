// Which results of a search come first: Sphinx's own points, but pages to read before the reference.
var Scorer = {
  score: ([page, , , , points]) => points - (page.startsWith("generated/api/") ? 8 : 0) + (page.startsWith("guide/") ? 3 : 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
