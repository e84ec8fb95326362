"""The page's only style sheet: one column on a phone, light and dark by the reader's own choice."""

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c2430; --quiet: #5a6675;
  --rule: #e3e8ee; --card: #f6f8fa; --first: #2166ac; --second: #b2560d;
  --good: #17703f; --warn: #8a5a00; --bad: #a8321a }
@media (prefers-color-scheme: dark) { :root { --paper: #14181d; --ink: #e4e9ef; --quiet: #9aa7b5;
  --rule: #2b333c; --card: #1c2229; --first: #6fb1f0; --second: #f0a35e;
  --good: #5fd08f; --warn: #e5b95c; --bad: #ff8f75 } }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 0 auto;
  padding: 1.5rem 1rem 4rem; color: var(--ink); background: var(--paper) }
h1 { font-size: 1.7rem; margin: .5rem 0 0; overflow-wrap: anywhere }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .8rem; padding-bottom: .3rem;
  border-bottom: 1px solid var(--rule) }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem }
table { border-collapse: collapse; width: 100%; font-size: .93rem }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--rule);
  vertical-align: top }
th { color: var(--quiet); font-weight: 600 }
td { overflow-wrap: anywhere; min-width: 5rem }
img { max-width: 100%; background: #fff; border-radius: .4rem; padding: .3rem; display: block }
svg { width: 100%; height: auto; display: block }
.wide { overflow-x: auto }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .82rem;
  background: var(--card); padding: .7rem; border-radius: .4rem }
details { margin-top: .8rem } details > summary { cursor: pointer; color: var(--quiet) }
.note { color: var(--quiet) } .good { color: var(--good) } .warn { color: var(--warn) }
.bad { color: var(--bad) } a { color: var(--first) }
.cards { display: grid; gap: .8rem; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr));
  margin: 1.2rem 0 }
.card { background: var(--card); border-radius: .5rem; padding: .8rem 1rem }
.card b { display: block } .card p { margin: .3rem 0 0; font-size: .93rem }
.charts { display: grid; gap: 1.2rem; margin-bottom: 1.2rem;
  grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)) }
.one { max-width: 34rem; margin: 1.2rem 0 }
figure { margin: 0 } figcaption { color: var(--quiet); font-size: .9rem; margin-top: .3rem }
.pair { display: grid; gap: 1.2rem; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)) }
.findings th:first-child, .findings td:last-child { min-width: 10rem }
.nearest td, .nearest th { white-space: nowrap } .nearest td.bad { font-weight: 600 }
@media (max-width: 40rem) { .figures tr { display: grid; grid-template-columns: 1fr 1fr;
    border-bottom: 1px solid var(--rule); padding: .5rem 0 }
  .findings tr { display: block; border-bottom: 1px solid var(--rule); padding: .5rem 0 }
  .findings tr:first-child { display: none }
  .findings th, .findings td { display: block; border: 0; padding: .1rem }
  .findings td:last-child::before { content: "fix: "; color: var(--quiet) }
  .figures tr:first-child { display: none } .figures th, .figures td { border: 0; padding: .1rem }
  .figures th, .figures td:last-child { grid-column: 1 / -1 }
  .figures td:nth-of-type(2)::before { content: "floor "; color: var(--quiet) } }
@media print { body { max-width: none } details { display: none } }
"""
