// Language, and what this browser can do.
const root = document.documentElement;
const toggle = document.getElementById("language");

function speak(language) {
  root.lang = language;
  const other = language === "en" ? "zh-CN" : "en";
  toggle.lang = other;
  toggle.textContent = other === "en" ? "English" : "中文";
}

toggle.addEventListener("click", () => speak(toggle.lang));
speak(navigator.language.toLowerCase().startsWith("zh") ? "zh-CN" : "en");

async function look() {
  if (!window.isSecureContext) return "insecure";
  if (!("serial" in navigator)) return "unsupported";
  try {
    const answer = await fetch("bundle/install.json");
    const manifest = await answer.json();
    if (!answer.ok || !manifest.builds.length) return "broken";
    await customElements.whenDefined("esp-web-install-button");
  } catch {
    return "broken";
  }
  return null;
}

const wrong = await look();
if (wrong) document.getElementById(wrong).hidden = false;
else document.querySelector("esp-web-install-button").hidden = false;
root.dataset.ready = wrong ?? "yes";
