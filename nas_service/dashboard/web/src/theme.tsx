// Light, dark or the system's: one choice, known to the style sheet and to every chart.
import { createContext, useContext, useEffect, useState, type ReactNode } from "react";

interface Theme {
  choice: string;
  choose: (choice: string) => void;
  colours: Colours;
}

export interface Colours {
  ink: string; muted: string; line: string; card: string; accent: string; bad: string; series: string[];
}

// Okabe and Ito's colours; on dark ground their lighter half first.
const LIGHT = ["#0072b2", "#d55e00", "#009e73", "#a8537f", "#9a6b00", "#3f7fae", "#5a6676"];
const DARK = ["#56b4e9", "#e69f00", "#2fc39a", "#e08fbf", "#f0e442", "#ff8f5e", "#9aa8ba"];
const Context = createContext<Theme | null>(null);
const system = window.matchMedia("(prefers-color-scheme: dark)");

function readColours(dark: boolean): Colours {
  const style = getComputedStyle(document.documentElement);
  const named = (name: string) => style.getPropertyValue(`--${name}`).trim();
  return { ink: named("ink"), muted: named("muted"), line: named("line"), card: named("card"), accent: named("accent"), bad: named("bad"), series: dark ? DARK : LIGHT };
}

export function ThemeProvider({ children }: { children: ReactNode }) {
  const [choice, choose] = useState(localStorage.getItem("theme") ?? "system");
  const [systemDark, setSystemDark] = useState(system.matches);
  const dark = choice === "dark" || (choice === "system" && systemDark);
  const [colours, setColours] = useState(() => readColours(dark));
  useEffect(() => {
    const follow = () => setSystemDark(system.matches);
    system.addEventListener("change", follow);
    return () => system.removeEventListener("change", follow);
  }, []);
  useEffect(() => {
    if (choice === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = choice;
    localStorage.setItem("theme", choice);
    setColours(readColours(dark));
  }, [choice, dark]);
  return <Context.Provider value={{ choice, choose, colours }}>{children}</Context.Provider>;
}

export const useTheme = (): Theme => useContext(Context)!;
