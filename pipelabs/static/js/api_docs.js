// Shows the document with Swagger UI. Tokens of a sign-in on the page are used for its other calls.

const main = document.getElementById("api-docs");
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function followColours() {
  document.documentElement.classList.toggle("dark-mode", dark.matches);
}

function rememberTokens(response) {
  const { access_token: access, refresh_token: refresh } = response.obj ?? {};
  if (response.ok && access && refresh) {
    ui.preauthorizeApiKey("access_token", access);
    ui.preauthorizeApiKey("refresh_token", refresh);
  }
  return response;
}

followColours();
dark.addEventListener("change", followColours);

const ui = window.SwaggerUIBundle({
  url: main.dataset.url,
  domNode: main,
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  responseInterceptor: rememberTokens,
  tryItOutEnabled: true,
  // The default validator is a third-party host, which the content security policy blocks.
  validatorUrl: null,
});
