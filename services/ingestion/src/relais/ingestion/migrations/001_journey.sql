-- The read model over all logs: where is my document? One row per document, merged by whoever speaks, in any order.

CREATE TABLE ingestion.journey (
    tenant      text        NOT NULL,
    document    text        NOT NULL,
    request     text        NOT NULL DEFAULT '',
    site        text        NOT NULL DEFAULT '',
    sender      text        NOT NULL DEFAULT '',
    type_code   text        NOT NULL DEFAULT '',
    size        bigint      NOT NULL DEFAULT 0,
    received_at timestamptz,
    updated_at  timestamptz NOT NULL,
    asked       jsonb       NOT NULL DEFAULT '{}',
    identity    jsonb       NOT NULL DEFAULT '{}',
    routing     jsonb       NOT NULL DEFAULT '{}',
    hold        jsonb       NOT NULL DEFAULT '{}',
    planned     jsonb       NOT NULL DEFAULT '{}',
    suppressed  jsonb       NOT NULL DEFAULT '[]',
    outcomes    jsonb       NOT NULL DEFAULT '{}',
    steps       jsonb       NOT NULL DEFAULT '[]',
    PRIMARY KEY (tenant, document)
) WITH (fillfactor = 40);
-- Every document is updated a few times within seconds and then never again: room in its page keeps those updates off the indexes.

-- The state is a function of what was said of each request, never stored, so that the logs may speak in any order. `asked` names the
-- requests on the document; `identity`, `routing` and `hold` hold one word for each, or for the whole document under `parked`.
CREATE FUNCTION ingestion.journey_state(asked jsonb, identity jsonb, routing jsonb, hold jsonb, planned jsonb, outcomes jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN EXISTS (SELECT 1 FROM jsonb_each_text(identity) AS i WHERE i.value = 'rejected') THEN 'REJECTED'
        WHEN EXISTS (SELECT 1 FROM jsonb_each_text(identity) AS i WHERE i.value = 'held')
          OR EXISTS (SELECT 1 FROM jsonb_each_text(hold) AS h WHERE h.value = 'held') THEN 'HELD'
        WHEN EXISTS (SELECT 1 FROM jsonb_object_keys(asked) AS a(request) WHERE NOT identity ? a.request AND NOT routing ? a.request)
            THEN 'RECEIVED'
        WHEN EXISTS (SELECT 1 FROM jsonb_object_keys(asked) AS a(request) WHERE NOT routing ? a.request) THEN 'VERIFIED'
        WHEN EXISTS (SELECT 1 FROM jsonb_each(outcomes) AS o WHERE o.value ->> 'outcome' = 'deferred') THEN 'WAITING'
        WHEN EXISTS (
            SELECT 1 FROM jsonb_object_keys(planned) AS p(ordinal)
            WHERE coalesce(outcomes -> p.ordinal ->> 'outcome', '') NOT IN ('succeeded', 'abandoned')
        ) THEN 'DELIVERING'
        ELSE 'DONE'
    END
$$;

CREATE INDEX journey_by_time ON ingestion.journey (tenant, received_at DESC, document DESC);

CREATE TABLE ingestion.upload (
    tenant     text        NOT NULL,
    request    text        NOT NULL,
    blob       uuid        NOT NULL,
    document   text        NOT NULL,
    subject    uuid        NOT NULL,
    size       bigint      NOT NULL,
    declared   bytea       NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, request)
);

-- Called by the log's append, in its transaction, with the work rows of what was stored.
CREATE FUNCTION ingestion.apply_work(work jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    staged uuid[];
BEGIN
    -- A large body was staged in earlier commits: the fact that names it takes it off the sweeper's list in the same transaction.
    SELECT array_agg((row_of ->> 'staged_blob')::uuid) FROM jsonb_array_elements(work) AS w(row_of) WHERE row_of ? 'staged_blob' INTO staged;
    IF staged IS NOT NULL THEN
        PERFORM vault.name_bodies(staged);
    END IF;
    INSERT INTO ingestion.journey AS j (
        tenant, document, request, site, sender, type_code, size, received_at, updated_at, asked, identity, routing,
        hold, planned, suppressed, outcomes, steps
    )
    SELECT tenant, document, coalesce(request, ''), coalesce(site, ''), coalesce(sender, ''), coalesce(type_code, ''), coalesce(size, 0),
           received_at, updated_at, coalesce(asked, '{}'), coalesce(identity, '{}'), coalesce(routing, '{}'),
           coalesce(hold, '{}'), coalesce(planned, '{}'), coalesce(suppressed, '[]'),
           coalesce(outcomes, '{}'), coalesce(steps, '[]')
    FROM jsonb_to_recordset(work) AS w (
        tenant text, document text, request text, site text, sender text, type_code text, size bigint, received_at timestamptz,
        updated_at timestamptz, asked jsonb, identity jsonb, routing jsonb, hold jsonb, planned jsonb, suppressed jsonb, outcomes jsonb, steps jsonb
    )
    WHERE document IS NOT NULL
    ORDER BY tenant, document
    ON CONFLICT (tenant, document) DO UPDATE SET
        request     = CASE WHEN j.request = '' THEN excluded.request ELSE j.request END,
        site        = CASE WHEN excluded.site = '' THEN j.site ELSE excluded.site END,
        sender      = CASE WHEN excluded.sender = '' THEN j.sender ELSE excluded.sender END,
        type_code   = CASE WHEN excluded.type_code = '' THEN j.type_code ELSE excluded.type_code END,
        size        = greatest(excluded.size, j.size),
        received_at = least(j.received_at, excluded.received_at),
        updated_at  = greatest(j.updated_at, excluded.updated_at),
        asked       = j.asked || excluded.asked,
        identity    = j.identity || excluded.identity,
        routing     = j.routing || excluded.routing,
        hold        = j.hold || excluded.hold,
        planned     = j.planned || excluded.planned,
        suppressed  = j.suppressed || excluded.suppressed,
        outcomes    = j.outcomes || excluded.outcomes,
        steps       = j.steps || excluded.steps;
END $$;

GRANT SELECT, INSERT, UPDATE ON ingestion.journey TO relais_ingestion;
GRANT SELECT, INSERT, DELETE ON ingestion.upload TO relais_ingestion;
