// Build the page: the target's card is open, and an address #source-12 opens another card.
"use strict";
async function start() {
  const section = (name) => document.getElementById(name), [ra, dec] = [DATA.position.ra, DATA.position.dec];
  document.getElementById("lead").textContent = `${NUMBER} sources in ${DATA.bands.length} bands; target ${known(DATA.target) ? `${DATA.target} ` : ""}at ${sexagesimal(ra, dec)}. unblend ${DATA.version}, ${DATA.summary.made}`;
  buildSummary(section("summary"));
  DRAWN.push(buildOverview(section("overview")));
  const table = buildTable(section("sources")).catch(tell);
  buildBands(section("bands"));
  buildFits(section("fits"));
  buildEdit(section("edit"));
  buildTime(section("time"));
  if (FILES) await loadColumns(["id"]).catch(tell);
  if (known(DATA.target)) await openCard(DATA.target, false);
  const follow = () => {
    const asked = location.hash.match(/^#source-(\d+)$/);
    if (asked) openCard(Number(asked[1]));
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.tagName === "DETAILS") target.open = true;
  };
  addEventListener("hashchange", follow);
  // A second click on the same source does not change the address, but must scroll to the card too.
  addEventListener("click", (event) => { if (event.target.closest("a[href^='#source-'], a[href^='#band-']")) setTimeout(follow); });
  follow();
  await table;
  document.body.dataset.ready = "yes";
  performance.mark("ready");
}
start();
