"""The stylesheet of reports, on top of the one of all pages."""

STYLE = """\
:root { --width: 70rem; --error: #a4161a; --warning: #8a5a00; --note: #00569c; --good: #1d6b34; }
@media screen and (prefers-color-scheme: dark) {
  :root { --error: #ff9b94; --warning: #f1bd5b; --note: #8ec7ff; --good: #7fd497; }
  figure.chart img { filter: invert(0.9) hue-rotate(180deg); }
}
main > h1 { margin-bottom: 0.4rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 0.6rem; padding-top: 0.6rem; border-top: 1px solid var(--faint); }
h3 { font-size: 1rem; margin: 1.2rem 0 0.3rem; }
p, figcaption, li { max-width: 46rem; }
nav { font-size: 0.9rem; }
.outcome { font-size: 1.1rem; max-width: 50rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 9.5rem), 1fr)); gap: 0.7rem;
  margin: 1.2rem 0; }
.figures div { padding: 0.6rem 0.8rem; border-radius: 8px; background: var(--card); }
.figures dt { font-size: 0.8rem; color: var(--dim); }
.figures dd { margin: 0; font-size: 1.25rem; font-variant-numeric: tabular-nums; line-height: 1.3; }
.figures small { display: block; font-size: 0.8rem; color: var(--dim); }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 25rem), 1fr)); gap: 0.5rem 2rem;
  align-items: start; }
figure { margin: 0.6rem 0; }
figure.chart img { background: none; border-radius: 0; }
figcaption { font-size: 0.85rem; color: var(--dim); line-height: 1.45; }
.tables { display: flex; flex-wrap: wrap; gap: 0.4rem 3rem; align-items: flex-start; }
.tables > * { min-width: 0; max-width: 100%; }
.images { display: grid; grid-template-columns: repeat(auto-fill, minmax(6.2rem, 1fr)); gap: 0.9rem; padding: 0;
  margin: 0.8rem 0; list-style: none; }
.images li { margin: 0; }
.images figure { margin: 0; }
.images img { display: block; width: 100%; image-rendering: pixelated; border-radius: 4px; }
.images figcaption { margin-top: 0.3rem; overflow-wrap: anywhere; }
.images b, .finding b { color: var(--ink); }
.wide { margin: 0.8rem 0; }
td, th { max-width: 28rem; }
.words td { min-width: 9rem; }
.found { display: inline-block; min-width: 9rem; }
.findings { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 28rem), 1fr)); gap: 0.8rem; }
.finding ul { margin: 0.2rem 0; padding-left: 1.2rem; }
.finding { border-left: 4px solid var(--note); background: var(--card); border-radius: 0 8px 8px 0;
  padding: 0.6rem 1rem; }
.finding h3 { margin: 0 0 0.3rem; }
.finding p { margin: 0.2rem 0; }
.finding .kind { font-size: 0.75rem; font-weight: bold; text-transform: uppercase; letter-spacing: 0.05em;
  color: var(--note); margin-right: 0.4em; }
.finding.error { border-color: var(--error); } .finding.error .kind { color: var(--error); }
.finding.warning { border-color: var(--warning); } .finding.warning .kind { color: var(--warning); }
.finding small, .missing { color: var(--dim); }
.healthy { color: var(--good); }
details { margin: 0.8rem 0; }
summary { cursor: pointer; color: var(--link); }
@media print {
  body { max-width: none; font-size: 10pt; padding: 0; }
  nav, summary { display: none; }
  .wide { overflow: visible; }
  figure, tr, .finding, .figures div, .images li { break-inside: avoid; }
  h2, h3, h3 + p, caption { break-after: avoid; }
  .charts { grid-template-columns: 1fr 1fr; }
  .figures div, .finding { border: 1px solid var(--faint); }
}
"""
