import { render } from "preact";
import { App } from "./app/shell";
import { showTheme } from "./app/theme";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/parts.css";

showTheme();
const root = document.getElementById("app");
if (root) render(<App />, root);
