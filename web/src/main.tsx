import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import "./tokens.css";
import "./base.css";
import "./shell.css";
import { APIError } from "./api/client";
import { router } from "./app/router";
import { applyTheme } from "./app/theme";
import { Notices } from "./ui/notes";

applyTheme();

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // Events say what has changed; this is for what has none.
      staleTime: 5000,
      retry: (count, error) => count < 2 && !(error instanceof APIError && error.status < 500),
    },
  },
});

const root = document.getElementById("root");
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={queries}>
        <Notices>
          <RouterProvider router={router} />
        </Notices>
      </QueryClientProvider>
    </StrictMode>,
  );
}
