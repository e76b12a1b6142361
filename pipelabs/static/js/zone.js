// Tell the server the time zone of the browser, so that pages show times and days in it.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const secure = location.protocol === "https:" ? "; secure" : "";
if (zone && !document.cookie.split("; ").includes(`pl_zone=${zone}`)) {
  document.cookie = `pl_zone=${zone}; path=/admin; max-age=31536000; samesite=lax${secure}`;
}
