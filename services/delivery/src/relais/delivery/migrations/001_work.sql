-- The queue of the dispatchers: one row per delivery that has not succeeded. It says nothing that the log does not say; it is written by
-- the log's own append, in the same transaction, and saves asking every stream what is due.

CREATE TABLE delivery.work (
    scheduled_at timestamptz NOT NULL,
    due_at       timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL DEFAULT now(),
    size         bigint      NOT NULL,
    document     uuid        NOT NULL,
    ordinal      integer     NOT NULL,
    attempts     integer     NOT NULL DEFAULT 0,
    tenant       text        NOT NULL,
    endpoint     text        NOT NULL,
    connector    text        NOT NULL,
    kind         text        NOT NULL,
    site         text        NOT NULL,
    state        text        NOT NULL CHECK (state IN ('waiting', 'accepted', 'abandoned')),
    code         text        NOT NULL DEFAULT '',
    reason       text        NOT NULL DEFAULT '',
    PRIMARY KEY (tenant, document, ordinal)
) WITH (
    -- Nearly every row lives for milliseconds: room for its few updates, and a vacuum that comes early and does not dawdle.
    fillfactor = 80, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0
);

-- What a dispatcher asks: the longest due of its endpoint. Attempts are noted without touching it, so those updates stay in their page.
CREATE INDEX work_due ON delivery.work (endpoint, due_at) WHERE state = 'waiting';

-- The endpoints that a person paused or drained, and those resumed since; an endpoint without a row is open.
CREATE TABLE delivery.endpoint (
    endpoint   text        PRIMARY KEY,
    mode       text        NOT NULL CHECK (mode IN ('open', 'draining', 'paused')),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Documents about which routing said something that could not be read: nothing of theirs is sent until a person has looked.
CREATE TABLE delivery.parked (
    tenant    text        NOT NULL,
    document  text        NOT NULL,
    partition smallint    NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, document)
);

-- Called by the log's append, in its transaction, with the work rows of what was stored.
CREATE FUNCTION delivery.apply_work(work jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF work @> '[{"op": "open"}]' THEN
        INSERT INTO delivery.work (
            scheduled_at, due_at, size, document, ordinal, attempts, tenant, endpoint, connector, kind, site, state, code, reason
        )
        SELECT w.scheduled_at, w.due_at, w.size, w.document, w.ordinal, w.attempts, w.tenant, w.endpoint, w.connector, w.kind, w.site, w.state,
            coalesce(w.code, ''), coalesce(w.reason, '')
        FROM jsonb_to_recordset(work) AS w (
            op text, scheduled_at timestamptz, due_at timestamptz, size bigint, document uuid, ordinal integer, attempts integer, tenant text,
            endpoint text, connector text, kind text, site text, state text, code text, reason text
        )
        WHERE w.op = 'open'
        ON CONFLICT DO NOTHING;
    END IF;

    IF work @> '[{"op": "set"}]' THEN
        -- Of several changes to one row, the last says how it stands.
        UPDATE delivery.work w SET
            state = coalesce(s.state, w.state), due_at = coalesce(s.due_at, w.due_at), attempts = coalesce(s.attempts, w.attempts),
            code = coalesce(s.code, w.code), reason = coalesce(s.reason, w.reason), updated_at = now()
        FROM (
            SELECT DISTINCT ON (c.tenant, c.document, c.ordinal) c.*
            FROM ROWS FROM (jsonb_to_recordset(work) AS (
                op text, tenant text, document uuid, ordinal integer, state text, due_at timestamptz, attempts integer, code text, reason text
            )) WITH ORDINALITY AS c (op, tenant, document, ordinal, state, due_at, attempts, code, reason, n)
            WHERE c.op = 'set' ORDER BY c.tenant, c.document, c.ordinal, c.n DESC
        ) AS s
        WHERE w.tenant = s.tenant AND w.document = s.document AND w.ordinal = s.ordinal;
    END IF;

    IF work @> '[{"op": "close"}]' THEN
        DELETE FROM delivery.work w
        USING jsonb_to_recordset(work) AS c (op text, tenant text, document uuid, ordinal integer)
        WHERE c.op = 'close' AND w.tenant = c.tenant AND w.document = c.document AND w.ordinal = c.ordinal;
    END IF;

    IF work @> '[{"op": "park"}]' THEN
        INSERT INTO delivery.parked (tenant, document, partition)
        SELECT c.tenant, c.document, c.partition
        FROM jsonb_to_recordset(work) AS c (op text, tenant text, document text, partition smallint) WHERE c.op = 'park'
        ON CONFLICT DO NOTHING;
    END IF;

    IF work @> '[{"op": "unpark"}]' THEN
        DELETE FROM delivery.parked p USING jsonb_to_recordset(work) AS c (op text, tenant text, document text)
        WHERE c.op = 'unpark' AND p.tenant = c.tenant AND p.document = c.document;
    END IF;

    IF work @> '[{"op": "endpoint"}]' THEN
        INSERT INTO delivery.endpoint AS e (endpoint, mode)
        SELECT DISTINCT ON (c.endpoint) c.endpoint, c.state
        FROM ROWS FROM (jsonb_to_recordset(work) AS (op text, endpoint text, state text)) WITH ORDINALITY AS c (op, endpoint, state, n)
        WHERE c.op = 'endpoint' ORDER BY c.endpoint, c.n DESC
        ON CONFLICT (endpoint) DO UPDATE SET mode = excluded.mode, updated_at = now();
    END IF;
END $$;

REVOKE ALL ON delivery.work, delivery.endpoint, delivery.parked FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON delivery.work TO relais_delivery;
GRANT SELECT, INSERT, DELETE ON delivery.parked TO relais_delivery;
GRANT SELECT, INSERT, UPDATE ON delivery.endpoint TO relais_delivery;
REVOKE ALL ON FUNCTION delivery.apply_work(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION delivery.apply_work(jsonb) TO relais_delivery;
