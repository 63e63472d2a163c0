// The look of everything that is drawn, in order.
import "../generated/palette.css";
import "./base.css";
import "./sheet.css";
import "./bars.css";
import "./parts.css";
