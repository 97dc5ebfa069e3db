// Puts what the server says of parts of this page in their place; without it the page reloads itself.
const path = document.body.dataset.live;
const lost = document.getElementById("lost");
let leaving = false; // somebody has tapped, and is led nowhere else

function put(parts) {
  for (const [id, html] of Object.entries(parts)) {
    if (id === "_to") {
      if (!leaving) location.replace(html);
      continue;
    }
    const place = document.getElementById(id);
    if (!place || place.contains(document.activeElement)) {
      // Nothing is taken away from under a finger or a keyboard: a card that is focused stays until it is left.
      if (place) place.addEventListener("focusout", () => setTimeout(() => put({ [id]: html })), { once: true });
      continue;
    }
    place.innerHTML = html;
  }
}

if (path && "EventSource" in window) {
  for (const event of ["submit", "beforeunload"]) addEventListener(event, () => { leaving = true; });
  addEventListener("pageshow", () => { leaving = false; });
  const source = new EventSource(path);
  source.addEventListener("open", () => { lost.hidden = true; });
  source.addEventListener("parts", (event) => put(JSON.parse(event.data)));
  source.addEventListener("error", () => {
    lost.hidden = false;
    // Closed for good: the visit is over, or there are too many. The page itself says which.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
  });
}
