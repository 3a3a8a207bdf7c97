// What the jobs of the run have warned of: each sentence once, with links to the logs that contain it.
"use strict";
const FIRST_WARNINGS = 8; // warnings that are always shown; a longer list can be opened

function warningItem({ sentence, logs, number }) {
  const links = logs.map((log, k) => [k ? ", " : "", html("a", { href: `../logs/${log}` }, log.replace(".log", "").replace("/", " "))]);
  return html("li", {}, sentence, html("span", { class: "soft" }, " (", links, number > logs.length ? `; ${number} times` : null, ")"));
}

function buildWarnings(section) {
  const items = DATA.warnings.map(warningItem), rest = items.splice(FIRST_WARNINGS);
  if (!items.length) {
    section.append(html("p", { class: "soft" }, "No job of this field has a warning in its log."));
    return;
  }
  section.append(html("ul", { class: "warnings" }, items));
  if (rest.length)
    section.append(html("details", {}, html("summary", {}, `${rest.length} more`), html("ul", { class: "warnings" }, rest)));
}
