import { useState } from "react";

const themes = ["system", "light", "dark"] as const;
type Theme = (typeof themes)[number];
const themeKey = "wrenn.theme";

function stored(): Theme {
  const value = localStorage.getItem(themeKey);
  return themes.find((theme) => theme === value) ?? "system";
}

export function applyTheme(theme: Theme = stored()): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

export function useTheme(): { theme: Theme; next: () => void } {
  const [theme, setTheme] = useState(stored);
  return {
    theme,
    next: () => {
      const following = themes[(themes.indexOf(theme) + 1) % themes.length] ?? "system";
      localStorage.setItem(themeKey, following);
      applyTheme(following);
      setTheme(following);
    },
  };
}
