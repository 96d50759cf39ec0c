"""What delivery decides, and nothing else: one stream per (document, ordinal), one stream per endpoint, and when to look again.

`delivery` is the decider of one delivery, `endpoint` that of one endpoint, `retrying` says when the next attempt is due, and
`standing` what a later decision of routing does to deliveries that are not sent yet (SAFETY 17).
"""
