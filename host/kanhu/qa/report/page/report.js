"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const all = (what, where = document) => [...where.querySelectorAll(what)];
  all(".needs-script").forEach((one) => { one.hidden = false; });
  const tests = all(".test");

  function narrow() {
    const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const test of tests) {
      const text = words.length ? (test.words ??= test.textContent.toLowerCase()) : "";
      const fits = (!$("suite").value || test.dataset.suite === $("suite").value)
        && (!$("promise").value || test.dataset.promises.split(" ").includes($("promise").value))
        && words.every((word) => text.includes(word));
      test.hidden = !fits;
      found += fits;
    }
    $("found").textContent = found === tests.length ? "" : `${found} / ${tests.length}`;
  }
  let waiting;
  $("search").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(narrow, 120); });
  $("suite").addEventListener("change", narrow);
  $("promise").addEventListener("change", narrow);
  $("open-all").addEventListener("click", () => tests.forEach((one) => { one.open = true; }));
  $("close-all").addEventListener("click", () => tests.forEach((one) => { one.open = false; }));

  document.addEventListener("input", (event) => {
    if (!event.target.classList.contains("grep")) return;
    const box = event.target.closest(".log"), pre = box.querySelector("pre"), wanted = event.target.value.toLowerCase();
    pre.lines ??= pre.textContent.split("\n");
    const kept = wanted ? pre.lines.filter((line) => line.toLowerCase().includes(wanted)) : pre.lines;
    pre.textContent = kept.join("\n");
    box.querySelector("output").textContent = wanted ? `${kept.length} / ${pre.lines.length}` : "";
  });
  document.addEventListener("click", async (event) => {
    const button = event.target.closest(".copy");
    if (!button) return;
    const code = button.parentElement.querySelector("code");
    try { await navigator.clipboard.writeText(code.textContent); button.textContent = "✓"; } catch {
      getSelection().selectAllChildren(code);
    }
  });

  // A link to a test opens it, and shows it although a filter hides it.
  function go() {
    const test = location.hash.length > 1 && $(decodeURIComponent(location.hash.slice(1)));
    if (!test || !test.classList.contains("test")) return;
    const box = all("[id^=show-]").find((one) => test.classList.contains(one.id.slice(5)));
    if (box) box.checked = true;
    test.hidden = false;
    test.open = true;
    test.scrollIntoView();
  }
  addEventListener("hashchange", go);
  go();
})();
