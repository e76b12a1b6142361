// The things that this admin has opened last: kinds and ids, no names. Signing out forgets them.
const KEY = "pl_recent";
const MAX = 8;
const THING = /^[a-z_]+:[\w.-]{1,64}$/;
const palette = document.getElementById("palette");

function read() {
  try {
    const { admin, things } = JSON.parse(localStorage.getItem(KEY));
    return admin === palette.dataset.admin ? things.filter((thing) => THING.test(thing)) : [];
  } catch {
    return [];
  }
}

// With `isElsewhere` without the thing of this page.
export function recentThings(isElsewhere) {
  const here = palette.dataset.subject;
  return read().filter((thing) => !isElsewhere || thing !== here);
}

if (palette) {
  const here = palette.dataset.subject;
  const things = [...new Set([...(here ? [here] : []), ...read()])].slice(0, MAX);
  try {
    localStorage.setItem(KEY, JSON.stringify({ admin: palette.dataset.admin, things }));
  } catch {
    // A browser that stores nothing, or has no room, has no recent things.
  }
  document.addEventListener("submit", (event) => {
    if ("signOut" in event.target.dataset) localStorage.removeItem(KEY);
  });
}
