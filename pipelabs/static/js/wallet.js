// A wallet tells its chain and its checksum as it is typed; without JavaScript the server's answer does.
for (const form of document.querySelectorAll("[data-wallet-check]")) {
  const input = form.elements.wallet_address;
  const told = document.createElement("div");
  told.id = "wallet-note";
  told.setAttribute("aria-live", "polite");
  input.after(told);
  const wanted = {
    "hx-post": form.dataset.walletCheck,
    "hx-trigger": "input changed delay:200ms",
    "hx-target": "#wallet-note",
    "hx-swap": "innerHTML",
    "hx-params": "csrf_token,wallet_address",
    "hx-sync": "this:replace",
  };
  for (const [name, value] of Object.entries(wanted)) input.setAttribute(name, value);
  htmx.process(input);
}
