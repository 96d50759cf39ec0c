-- What waits for a person at identity: one row per request, written with the fact that holds it and removed with the one that decides.

CREATE TABLE identity.held (
    tenant    text        NOT NULL,
    document  text        NOT NULL,
    request   text        NOT NULL,
    site      text        NOT NULL,
    type_code text        NOT NULL,
    reasons   text[]      NOT NULL,
    evidence  text[]      NOT NULL,
    rules     text[]      NOT NULL,
    held_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant, document, request)
);

CREATE INDEX held_by_age ON identity.held (tenant, held_at, document, request);

-- Called by the log's append, in its transaction, with the work rows of what was stored, in order: one batch may hold and release.
CREATE FUNCTION identity.apply_work(work jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    entry jsonb;
BEGIN
    FOR entry IN SELECT value FROM jsonb_array_elements(work) LOOP
        IF entry ->> 'op' = 'held' THEN
            INSERT INTO identity.held (tenant, document, request, site, type_code, reasons, evidence, rules, held_at)
            VALUES (
                entry ->> 'tenant', entry ->> 'document', entry ->> 'request', entry ->> 'site', entry ->> 'type_code',
                ARRAY(SELECT jsonb_array_elements_text(entry -> 'reasons')), ARRAY(SELECT jsonb_array_elements_text(entry -> 'evidence')),
                ARRAY(SELECT jsonb_array_elements_text(entry -> 'rules')), (entry ->> 'held_at')::timestamptz
            )
            ON CONFLICT (tenant, document, request) DO UPDATE SET
                reasons = excluded.reasons, evidence = excluded.evidence, rules = excluded.rules;
        ELSE
            DELETE FROM identity.held
            WHERE tenant = entry ->> 'tenant' AND document = entry ->> 'document' AND request = entry ->> 'request';
        END IF;
    END LOOP;
END
$$;

GRANT SELECT, INSERT, UPDATE, DELETE ON identity.held TO relais_identity;
