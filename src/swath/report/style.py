"""How pages look: in the light and in the dark, on a phone and on paper."""

from __future__ import annotations

_LIGHT = """--ink: #0f172a; --soft: #5b6b82; --line: #e2e8f0; --back: #f8fafc; --card: #fff; --accent: #2563eb;
  --track: #eef2f6; --good: #1d6fd1; --bad: #d1242f; color-scheme: light;"""
_DARK = """--ink: #e6edf5; --soft: #9fb0c5; --line: #2a3646; --back: #0b1119; --card: #131c27; --accent: #6ea8fe;
  --track: #202c3b; --good: #4d9bff; --bad: #ff6b64; color-scheme: dark;"""

STYLE = (
    f":root {{ {_LIGHT} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {_DARK} }} }}\n"
    f"@media print {{ :root {{ {_LIGHT} }} }}"
    """
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 32px 24px 64px; }
header h1 { font-size: 28px; line-height: 1.2; margin: 0 0 4px; letter-spacing: -.02em; overflow-wrap: anywhere; }
header p { color: var(--soft); margin: 0 0 24px; overflow-wrap: anywhere; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 20px 22px;
  margin: 0 0 20px; }
section h2 { font-size: 16px; margin: 0 0 12px; letter-spacing: -.01em; break-after: avoid; }
section > p.note { color: var(--soft); margin: -6px 0 12px; font-size: 13.5px; }
section > p.defined { color: var(--soft); margin: 10px 0 0; font-size: 13px; line-height: 1.5; }
.columns { display: grid; gap: 20px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); }
.columns section { margin: 0; min-width: 0; } .columns { margin: 0 0 20px; }
.tiles { display: grid; gap: 14px; margin: 0 0 20px; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 14px 18px; }
.tile b { display: block; font-size: 24px; line-height: 1.25; letter-spacing: -.02em;
  font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 13px; }
.facts { display: flex; flex-wrap: wrap; gap: 2px 26px; margin: -14px 0 24px; font-size: 13.5px; }
.facts div { display: flex; gap: 7px; min-width: 0; } .facts dt { color: var(--soft); }
.facts dd { margin: 0; overflow-wrap: anywhere; }
svg.chart { display: block; width: 100%; height: auto; }
svg.chart.small { max-width: 620px; }
svg.chart text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; fill: var(--soft); }
svg.chart text.strong { fill: var(--ink); font-weight: 600; }
svg.chart text.faint { fill: var(--soft); opacity: .8; }
svg.chart .track, svg.bar .track { fill: var(--track); }
svg.chart .rule { stroke: var(--line); } svg.chart .axis { stroke: var(--soft); }
svg.chart .outlined, svg.bar .outlined { stroke: var(--ink); stroke-opacity: .22; }
svg.bar { display: block; width: 100%; height: 14px; } svg.bar .mark { stroke: var(--ink); stroke-width: 2; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 7px 12px 7px 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--soft); font-weight: 500; font-size: 13px; } td.number, th.number { text-align: right; }
tr:last-child td { border-bottom: 0; }
table.bars { table-layout: fixed; max-width: 860px; }
table.bars td { padding: 3px 10px 3px 0; border: 0; font-size: 14px; }
table.bars th { padding: 0 10px 6px 0; border: 0; font-size: 12.5px; }
table.bars td:last-child, table.bars th:last-child { padding-right: 0; }
table.bars .name { width: 25%; overflow: hidden; text-overflow: ellipsis; } table.bars .name { text-align: right; }
table.bars .number { width: 64px; } table.bars td.main { font-weight: 600; }
table.heat { font-size: 13px; width: auto; min-width: 60%; } table.heat td, table.heat th { padding: 4px 10px; }
table.heat td.number { border: 1px solid var(--card); print-color-adjust: exact; -webkit-print-color-adjust: exact; }
table.heat tr > :first-child { padding-left: 0; }
details { margin: 12px 0 0; font-size: 13.5px; } summary { cursor: pointer; color: var(--accent); }
details > * + * { margin-top: 8px; } details table { font-size: 13px; }
details td, details th { padding: 4px 14px 4px 0; }
.grid { display: grid; gap: 8px; margin: 0 0 14px; break-inside: avoid; }
.grid figure { margin: 0; } .grid img { display: block; width: 100%; border-radius: 8px; background: var(--line); }
.grid figcaption { color: var(--soft); font-size: 12.5px; margin: 3px 0 0; overflow: hidden; text-overflow: ellipsis; }
.legend { display: flex; flex-wrap: wrap; gap: 6px 16px; font-size: 13px; color: var(--soft); }
.legend i { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 6px;
  vertical-align: -1px; border: 1px solid rgb(100 116 139 / .4); print-color-adjust: exact;
  -webkit-print-color-adjust: exact; }
ol.words, ul.words { margin: 0; padding: 0 0 0 22px; } .words li { margin: 0 0 5px; }
.words small { color: var(--soft); font-size: 13px; }
h3.row { font-size: 14px; font-weight: 600; margin: 16px 0 2px; overflow-wrap: anywhere; break-after: avoid; }
h3.row small { font-weight: 400; color: var(--soft); font-size: 13px; margin-left: 8px; }
code, pre { font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { background: var(--back); border: 1px solid var(--line); border-radius: 10px; padding: 12px 14px; margin: 0;
  overflow-x: auto; }
footer { color: var(--soft); font-size: 13px; }
@media (max-width: 640px) {
  main { padding: 20px 12px 40px; } section { padding: 16px 14px; } header h1 { font-size: 22px; }
  .grid { grid-template-columns: 1fr 1fr !important; }
  .tiles { grid-template-columns: 1fr 1fr; gap: 10px; } .tile { padding: 10px 14px; } .tile b { font-size: 20px; }
  table.bars .name { width: 27%; } table.bars .number { width: 52px; } table.bars td { font-size: 12.5px; }
  table.bars th { font-size: 11.5px; }
}
@media print {
  main { max-width: none; padding: 0; } body { background: #fff; font-size: 12px; }
  section { border-color: #cbd5e1; padding: 14px 16px; } .tile, figure, tr, svg.chart { break-inside: avoid; }
  .columns { grid-template-columns: 1fr 1fr; } .columns section { break-inside: avoid; }
}
"""
)
