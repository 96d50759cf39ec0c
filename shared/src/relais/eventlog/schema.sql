-- One event log: the tables of schema @log@, owned by whoever migrates, used by the role @role@. Everything stays within Postgres 15.
-- This file is numbered and never edited once a release has run it; what changes comes as a new numbered file. Functions, which may
-- change, are in functions.sql.

CREATE SCHEMA IF NOT EXISTS @log@;

-- The record. Rows are only ever inserted, by @log@.append; positions, tenant sequences and stream versions count from 1 without a gap.
-- Wide columns come last, so that rows carry no padding.
CREATE TABLE @log@.event (
    position        bigint      NOT NULL,
    tenant_sequence bigint      NOT NULL,
    version         bigint      NOT NULL,
    recorded_at     timestamptz NOT NULL,
    event_id        uuid        NOT NULL,
    partition       smallint    NOT NULL,
    tenant          text        NOT NULL,
    stream          text        NOT NULL,
    tag             text        NOT NULL,
    actor           text        NOT NULL,
    traceparent     text        NOT NULL,
    payload         bytea       NOT NULL,
    CONSTRAINT event_pkey PRIMARY KEY (position),
    CONSTRAINT event_id_key UNIQUE (event_id),
    CONSTRAINT event_stream_version_key UNIQUE (tenant, stream, version),
    CONSTRAINT event_tenant_sequence_key UNIQUE (tenant, tenant_sequence),
    -- With these limits the leaf of every event fits the 65,535 bytes that C2SP tlog-tiles allows an entry; the same limits stand in
    -- limits.py, which refuses what would fail here before it can hurt its neighbours in a batch.
    CONSTRAINT event_fits CHECK (
        position >= 1 AND tenant_sequence >= 1 AND version >= 1 AND partition BETWEEN 0 AND 31
        AND octet_length(tenant) BETWEEN 1 AND 255 AND octet_length(stream) BETWEEN 1 AND 255 AND octet_length(tag) BETWEEN 1 AND 127
        AND octet_length(actor) BETWEEN 1 AND 255 AND octet_length(traceparent) <= 127 AND octet_length(payload) <= 65536
    )
);
-- Payloads are mostly ciphertext: trying to compress them costs time and gains nothing. A fact of up to half a page stays in its row.
ALTER TABLE @log@.event ALTER COLUMN payload SET STORAGE EXTERNAL;
ALTER TABLE @log@.event SET (toast_tuple_target = 4080);

CREATE FUNCTION @log@.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of an event log is refused', tg_op USING ERRCODE = 'RL004';
END $$;

-- Not even the owner changes a row by accident; ALWAYS, so that a session that plays a replica is refused as well.
CREATE TRIGGER event_is_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON @log@.event
    FOR EACH STATEMENT EXECUTE FUNCTION @log@.refuse_change();
ALTER TABLE @log@.event ENABLE ALWAYS TRIGGER event_is_immutable;

-- How far each consumer of this service has come in each partition of each log it reads. Rows are few and updated in every batch: room
-- in their pages keeps those updates off the index, and vacuum comes early.
CREATE TABLE @log@.checkpoint (
    consumer  text     NOT NULL,
    log       text     NOT NULL,
    partition smallint NOT NULL,
    position  bigint   NOT NULL,
    event_id  uuid     NOT NULL,
    epoch     bigint   NOT NULL,
    PRIMARY KEY (consumer, log, partition)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

-- Who may do what, and until when; the statements are the transport package's.
CREATE TABLE @log@.lease (
    resource   text        PRIMARY KEY,
    holder     text        NOT NULL,
    epoch      bigint      NOT NULL,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

-- Which replicas of a consumer are alive, so that they can share partitions fairly.
CREATE TABLE @log@.member (
    consumer text        NOT NULL,
    holder   text        NOT NULL,
    seen_at  timestamptz NOT NULL,
    PRIMARY KEY (consumer, holder)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

REVOKE ALL ON SCHEMA @log@ FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA @log@ FROM PUBLIC;
GRANT USAGE ON SCHEMA @log@ TO @role@;
GRANT SELECT, INSERT ON @log@.event TO @role@;
GRANT SELECT, INSERT, UPDATE ON @log@.checkpoint, @log@.lease TO @role@;
GRANT SELECT, INSERT, UPDATE, DELETE ON @log@.member TO @role@;
