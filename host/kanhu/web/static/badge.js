// What is seen when another page is in front: the tab's title and its icon.

import { byId } from "./dom.js";

const name = document.title;

// waiting: how many; oldest: "2:05" or ""; lost: nobody knows.
export function badge(waiting, oldest, lost) {
  const count = waiting ? `(${waiting}) ${oldest} ` : "";
  const title = `${lost ? "✕ " : ""}${count}${name}`;
  if (document.title !== title) document.title = title;
  const href = `/desk/static/icons/${waiting > 9 ? "more" : waiting}.svg`;
  if (byId("icon").getAttribute("href") !== href) byId("icon").setAttribute("href", href);
}
