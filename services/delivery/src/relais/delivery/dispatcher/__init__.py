"""One dispatcher per endpoint: it records attempts, calls the partner, and records each answer as it comes.

    the queue --pull--> attempts recorded --> ready --load--> bodies, keys, objections --> loaded --call--> answers recorded
    a plan handled here ----- handed over ----^

`desk` is what one replica has in flight for one endpoint, `recorder` the one writer of attempts and answers for all of them,
`loader` looks again and fetches bodies, `caller` calls, `pull` fills the desk, `endpoint` puts these together under a lease,
and `fleet` runs one for each endpoint this replica may call.
"""
