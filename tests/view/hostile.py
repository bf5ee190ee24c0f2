"""Texts that try to run, to break out, or to deceive; each must stand on the page as text."""

from __future__ import annotations

MARKUP = (
    "<script>window.ran=1</script>",
    "</script><script>window.ran=1</script>",
    "<img src=x onerror='window.ran=1'>",
    "<svg onload=window.ran=1>",
    "<svg><script>window.ran=1</script></svg>",
    "<iframe srcdoc='<script>parent.ran=1</script>'></iframe>",
    "<body onload=window.ran=1>",
    "<details open ontoggle=window.ran=1>x</details>",
    "<video><source onerror=window.ran=1></video>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=window.ran=1>",
    "<a href='javascript:window.ran=1'>click</a>",
    "<form action=//evil.example><button>send</button></form>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>*{display:none}</style>",
    "<base href=//evil.example/>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<object data=//evil.example></object>",
    "<!-- --!><img src=x onerror=window.ran=1>-->",
    "<![CDATA[<script>window.ran=1</script>]]>",
    "<template><script>window.ran=1</script></template>",
    "<plaintext>",
    "<textarea></textarea><script>window.ran=1</script>",
    "<noscript><p title='</noscript><img src=x onerror=window.ran=1>'>",
    '"><script>window.ran=1</script>',
    "' autofocus onfocus=window.ran=1 x='",
    "javascript:window.ran=1//",
    "data:text/html,<script>window.ran=1</script>",
    "${window.ran=1}`${window.ran=1}`",
    "{{constructor.constructor('window.ran=1')()}}",
    "[x](javascript:window.ran=1)",
)

DECEIT = (
    "\u202egnp.exe",
    "\u2066\u2067\u2068 no end",
    "x\u0000y",
    "\x1b[2J\x1b]0;title\x07",
    "a\u2028b\u2029c",
    "\ufeff\u200b\u200d",
    "e" + "\u0301" * 300,
    "__proto__",
    "constructor",
    "../../../../etc/passwd?x=1&y=2#z%00%2e%2e",
)

LONG = "A" * 1_000_000

TEXTS = (*MARKUP, *DECEIT, LONG)
