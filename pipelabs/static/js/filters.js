// A list follows its filters as they change; what is empty does not go into the address.
for (const form of document.querySelectorAll("[data-filters]")) {
  form.addEventListener("htmx:configRequest", (event) => {
    const { parameters } = event.detail;
    for (const name of Object.keys(parameters)) {
      if (parameters[name] === "") delete parameters[name];
    }
  });
}
