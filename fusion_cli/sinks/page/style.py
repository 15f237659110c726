"""How the page looks: its style sheet, light and dark, for the screen, for a telephone and for paper. Data."""

SEATS = 8

# Each at least 4.5 to 1 on its background, and told apart with the usual kinds of colour blindness by lightness too.
_LIGHT = ("#0b62c4", "#b3400b", "#1b7a3d", "#8a3ab0", "#8a6100", "#00747d", "#b8266f", "#4d5663")
_DARK = ("#6cb2ff", "#ff9f68", "#6fd08c", "#d59bf6", "#e3b341", "#4fd1d9", "#ff8fc0", "#b3bdca")


def _seats(colours: tuple[str, ...]) -> str:
    return " ".join(f"--p{number}: {colour};" for number, colour in enumerate(colours))


STYLE = f"""
:root {{
  color-scheme: light dark;
  --ground: #ffffff; --raised: #f6f7f9; --line: #d5dae1; --ink: #1c2128; --faint: #57606a; --link: #0b5cad;
  --warn: #8a4b00; --warn-ground: #fff6e5; --bad: #b3261e; --outer: #1c2128; {_seats(_LIGHT)}
}}
@media (prefers-color-scheme: dark) {{
  :root {{
    --ground: #14181d; --raised: #1c2229; --line: #363f4a; --ink: #e4e8ed; --faint: #a3adb9; --link: #7ab8ff;
    --warn: #f0b35b; --warn-ground: #2c2314; --bad: #ff8a80; --outer: #e4e8ed; {_seats(_DARK)}
  }}
}}
* {{ box-sizing: border-box; }}
html {{ -webkit-text-size-adjust: 100%; }}
body {{
  margin: 0 auto; max-width: 58rem; padding: 2.5rem 1.25rem 4rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; overflow-wrap: anywhere;
}}
h1 {{ font-size: 1.75rem; line-height: 1.25; margin: 0 0 .5rem; text-wrap: balance; }}
h2 {{ font-size: 1.2rem; margin: 2.75rem 0 .75rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); }}
h3, h4, h5, h6 {{ font-size: 1rem; margin: 1.25rem 0 .5rem; }}
p, ul, ol, pre, blockquote, table {{ margin: 0 0 .85rem; }}
ul, ol {{ padding-left: 1.5rem; }}
li {{ margin-bottom: .35rem; }}
a {{ color: var(--link); text-underline-offset: .15em; }}
:focus-visible {{ outline: 2px solid var(--link); outline-offset: 2px; }}
code, pre {{ font: .875em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }}
code {{ background: var(--raised); border-radius: .25rem; padding: .1em .3em; }}
pre {{ background: var(--raised); border-radius: .4rem; padding: .8rem 1rem; overflow-x: auto; overflow-wrap: normal; }}
pre code {{ background: none; padding: 0; font-size: 1em; }}
pre.wrapped {{ white-space: pre-wrap; overflow-wrap: anywhere; }}
blockquote {{ border-left: 3px solid var(--line); padding-left: 1rem; margin-left: 0; color: var(--faint); }}
hr {{ border: 0; border-top: 1px solid var(--line); margin: 1.5rem 0; }}
.meta, .note, footer {{ color: var(--faint); font-size: .9em; font-weight: 400; }}
.meta {{ margin: 0; }}
header {{ margin-bottom: 1.25rem; }}
footer {{ margin-top: 3rem; border-top: 1px solid var(--line); padding-top: 1rem; }}
footer p {{ margin: 0; }}
.notice {{
  background: var(--warn-ground); border-left: 3px solid var(--warn); border-radius: 0 .4rem .4rem 0;
  padding: .6rem 1rem; margin: 1rem 0;
}}
.notice p {{ margin: 0; }}
.answer {{ font-size: 1.05rem; }}
.scroll {{ overflow-x: auto; margin: 0 0 .85rem; }}
.scroll table {{ margin: 0; }}
table {{ border-collapse: collapse; font-size: .92rem; line-height: 1.45; min-width: 100%; overflow-wrap: break-word; }}
th, td {{ border-bottom: 1px solid var(--line); padding: .5rem .75rem; text-align: left; vertical-align: top; }}
thead th {{ border-bottom: 2px solid var(--line); white-space: nowrap; }}
tbody th {{ font-weight: 600; position: sticky; left: 0; background: var(--ground); }}
.stances td, .stances th {{ min-width: 9rem; max-width: 22rem; }}
.stances thead th, .dots thead th {{ white-space: normal; overflow-wrap: anywhere; vertical-align: bottom; }}
.dots thead th:not(:first-child) {{ min-width: 5.25rem; max-width: 14rem; }}
.dots td, .dots thead th:not(:first-child) {{ text-align: center; }}
.dots tbody th {{ font-weight: 400; min-width: 12rem; }}
.dot {{ color: var(--seat, var(--outer)); font-size: 1.15rem; line-height: 1; }}
.none {{ color: var(--faint); }}
.center {{ text-align: center; }}
.right {{ text-align: right; }}
.number {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }}
tfoot td, tfoot th {{ border-bottom: 0; font-weight: 600; }}
.who {{ display: inline-block; position: relative; padding-left: 1em; font-weight: 600; }}
.who {{ color: var(--seat, var(--outer)); text-align: left; }}
.who::before {{
  content: ""; position: absolute; left: 0; top: .5em; width: .6em; height: .6em; border-radius: 50%;
  background: currentColor;
}}
.insights {{ list-style: none; padding: 0; }}
.insights li {{ border-left: 3px solid var(--seat, var(--outer)); padding-left: .9rem; margin-bottom: .8rem; }}
.insights .who {{ display: block; font-size: .9rem; }}
.mark {{ color: var(--warn); font-size: .85em; white-space: nowrap; }}
.failed {{ color: var(--bad); }}
details {{ border: 1px solid var(--line); border-radius: .5rem; margin-bottom: .75rem; }}
summary {{ cursor: pointer; padding: .65rem 1rem; }}
summary h3 {{ display: inline; margin: 0; }}
summary .note {{ margin-left: .5rem; }}
details > .text {{ padding: .25rem 1rem .5rem; border-top: 1px solid var(--line); }}
.hidden {{ position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }}
.plot {{ margin: 0 0 .85rem; }}
.plot svg {{ display: block; width: 100%; overflow: visible; font-size: .82rem; }}
.plot text {{ fill: var(--ink); }}
.plot .axis {{ fill: var(--faint); font-size: .75rem; }}
.plot .grid {{ stroke: var(--line); stroke-width: 1; }}
.plot .row {{ color: var(--seat, var(--outer)); }}
.plot .name {{ fill: currentColor; font-weight: 600; }}
.plot .took {{ fill: var(--faint); }}
.plot .writing {{ fill: currentColor; }}
.plot .thinking {{ fill: currentColor; fill-opacity: .42; }}
.plot .searching {{ fill: var(--ground); stroke: currentColor; stroke-width: 2; }}
.plot .waiting {{ fill: currentColor; fill-opacity: .13; }}
.plot .cross {{ fill: var(--bad); font-weight: 700; }}
.legend {{ display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; padding: 0; margin: .5rem 0 0; }}
.legend li {{ margin: 0; color: var(--faint); font-size: .85rem; }}
.legend svg {{ display: inline-block; width: 1.5rem; height: .7rem; margin-right: .4rem; color: var(--outer); }}
@media (max-width: 36rem) {{
  body {{ padding: 1.25rem 1rem 3rem; }}
  h1 {{ font-size: 1.4rem; }}
  th, td {{ padding: .4rem .5rem; }}
}}
@media print {{
  :root {{
    color-scheme: light; --ground: #fff; --raised: #f3f4f6; --line: #c8ccd2; --ink: #000; --faint: #444; --link: #000;
    --warn: #6b3a00; --warn-ground: #fff; --bad: #8c1d18; --outer: #000; {_seats(_LIGHT)}
  }}
  body {{ max-width: none; padding: 0; font-size: 10.5pt; print-color-adjust: exact; }}
  details::details-content {{ content-visibility: visible !important; display: block !important; }}
  details {{ border: 0; }}
  summary {{ list-style: none; padding: 0; }}
  details > .text {{ padding: 0; border: 0; }}
  h2, h3, summary {{ break-after: avoid; }}
  tr, li, .plot {{ break-inside: avoid; }}
  pre {{ white-space: pre-wrap; overflow-wrap: anywhere; }}
  .scroll {{ overflow: visible; }}
  .scroll table {{ font-size: 8.5pt; }}
  .stances td, .stances th, .dots tbody th {{ min-width: 0; max-width: none; }}
  thead th {{ white-space: normal; }}
}}
{"".join(f".p{number} {{ --seat: var(--p{number}); }} " for number in range(SEATS))}
"""
