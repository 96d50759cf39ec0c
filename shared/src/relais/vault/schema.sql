-- The bodies: schema `vault` of database `relais`. Run by the owner's role, as often as one likes.
--
-- Who may do what, and nothing else (tested):
--   ingestion  inserts chunks (a small body inside the append's own call), stages large ones through the functions below, and reads
--              back only what is still staged. It never reads the body of a received document.
--   delivery   reads.
--   privacy    deletes, after an erasure.
--   identity and routing may not even enter the schema.

CREATE SCHEMA IF NOT EXISTS vault;

CREATE TABLE IF NOT EXISTS vault.chunk (
    blob       uuid        NOT NULL,
    number     integer     NOT NULL CHECK (number >= 0),
    last       boolean     NOT NULL,
    ciphertext bytea       NOT NULL CHECK (octet_length(ciphertext) BETWEEN 28 AND 262144),
    stored_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (blob, number)
);
-- Ciphertext cannot be compressed; trying costs time, and EXTERNAL does not try.
ALTER TABLE vault.chunk ALTER COLUMN ciphertext SET STORAGE EXTERNAL;

-- A body that is arriving and that no fact names yet. Small bodies, nearly all of them, never have a row here.
CREATE TABLE IF NOT EXISTS vault.staging (
    blob       uuid        PRIMARY KEY,
    started_at timestamptz NOT NULL DEFAULT now(),
    touched_at timestamptz NOT NULL DEFAULT now()
);

-- Stores chunks of bodies that are arriving. The staging row of a body is locked first, so that a sweep either sees this call's
-- touch or has removed the whole body before. A body is staged only by the call that really inserts its chunk 0: repeating a call
-- after a fact has named the body must not make the body look abandoned.
CREATE OR REPLACE FUNCTION vault.stage_chunks(blobs uuid[], numbers integer[], lasts boolean[], ciphertexts bytea[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    inserted uuid[];
BEGIN
    PERFORM 1 FROM vault.staging s WHERE s.blob = ANY (blobs) ORDER BY s.blob FOR UPDATE;
    UPDATE vault.staging s SET touched_at = now() WHERE s.blob = ANY (blobs);
    WITH stored AS (
        INSERT INTO vault.chunk (blob, number, last, ciphertext)
        SELECT a.blob, a.number, a.last, a.ciphertext
        FROM unnest(blobs, numbers, lasts, ciphertexts) AS a (blob, number, last, ciphertext) ORDER BY a.blob, a.number
        ON CONFLICT DO NOTHING RETURNING chunk.blob, chunk.number
    ), started AS (
        INSERT INTO vault.staging (blob) SELECT s.blob FROM stored s WHERE s.number = 0
    )
    SELECT array_agg(s.blob) FROM stored s INTO inserted;
    -- Later statements see what a concurrent call committed while this one waited for it.
    IF EXISTS (
        SELECT FROM unnest(blobs, numbers, lasts, ciphertexts) AS a (blob, number, last, ciphertext)
        JOIN vault.chunk c ON c.blob = a.blob AND c.number = a.number
        WHERE c.ciphertext <> a.ciphertext OR c.last <> a.last
    ) THEN
        RAISE EXCEPTION 'other bytes are stored under the same number' USING ERRCODE = 'RV002';
    END IF;
    IF EXISTS (SELECT FROM unnest(inserted) AS i (blob) WHERE NOT EXISTS (SELECT FROM vault.staging s WHERE s.blob = i.blob)) THEN
        RAISE EXCEPTION 'the body is not staged' USING ERRCODE = 'RV001';
    END IF;
END $$;

-- How many consecutive chunks from 0 are stored of a staged body; asking is a sign of life.
CREATE OR REPLACE FUNCTION vault.staged_count(asked uuid) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE vault.staging s SET touched_at = now() WHERE s.blob = asked;
    SELECT count(*)::integer FROM (
        SELECT c.number, row_number() OVER (ORDER BY c.number) - 1 AS place FROM vault.chunk c
        WHERE c.blob = asked AND EXISTS (SELECT FROM vault.staging s WHERE s.blob = asked)
    ) AS numbered WHERE numbered.number = numbered.place;
$$;

-- Chunks of a body that is still staged: what ingestion needs to take up an interrupted upload.
CREATE OR REPLACE FUNCTION vault.staged_part(asked uuid, first integer, count integer)
RETURNS TABLE (blob uuid, number integer, last boolean, ciphertext bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT c.blob, c.number, c.last, c.ciphertext FROM vault.chunk c JOIN vault.staging s ON s.blob = c.blob
    WHERE c.blob = asked AND c.number >= first AND c.number < first + count ORDER BY c.number;
$$;

-- A fact names these bodies. Called in the transaction that appends the fact, so that there is no moment at which a body is named
-- and may be swept, or neither. A body that was swept before must stop the append: the fact would name nothing.
CREATE OR REPLACE FUNCTION vault.name_bodies(blobs uuid[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    named integer;
BEGIN
    PERFORM 1 FROM vault.staging s WHERE s.blob = ANY (blobs) ORDER BY s.blob FOR UPDATE;
    DELETE FROM vault.staging s WHERE s.blob = ANY (blobs);
    GET DIAGNOSTICS named = ROW_COUNT;
    IF named <> (SELECT count(DISTINCT b) FROM unnest(blobs) AS b) THEN
        RAISE EXCEPTION 'a body is not staged' USING ERRCODE = 'RV001';
    END IF;
END $$;

-- Removes at most `most` abandoned bodies. It looks at the staging table only, never at the chunks of named bodies. SKIP LOCKED passes
-- over a body that is being named or is growing right now; the age is looked at again once the row is locked.
CREATE OR REPLACE FUNCTION vault.sweep(older_than_seconds double precision, most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    abandoned uuid[];
BEGIN
    SELECT array_agg(old.blob) FROM (
        SELECT s.blob FROM vault.staging s WHERE s.touched_at <= now() - make_interval(secs => older_than_seconds)
        ORDER BY s.blob LIMIT most FOR UPDATE SKIP LOCKED
    ) AS old INTO abandoned;
    DELETE FROM vault.chunk c WHERE c.blob = ANY (abandoned);
    DELETE FROM vault.staging s WHERE s.blob = ANY (abandoned);
    RETURN coalesce(cardinality(abandoned), 0);
END $$;

REVOKE ALL ON SCHEMA vault FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA vault FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA vault FROM PUBLIC;

GRANT USAGE ON SCHEMA vault TO relais_ingestion, relais_delivery;
GRANT INSERT, SELECT (blob, number, last) ON vault.chunk TO relais_ingestion;
GRANT SELECT ON vault.staging TO relais_ingestion;
GRANT EXECUTE ON FUNCTION
    vault.stage_chunks(uuid[], integer[], boolean[], bytea[]), vault.staged_count(uuid), vault.staged_part(uuid, integer, integer),
    vault.name_bodies(uuid[]), vault.sweep(double precision, integer)
TO relais_ingestion;
GRANT SELECT ON vault.chunk TO relais_delivery;

-- Where nobody plays the privacy role yet, nobody may delete.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'relais_privacy') THEN
        GRANT USAGE ON SCHEMA vault TO relais_privacy;
        GRANT DELETE, SELECT (blob, number) ON vault.chunk TO relais_privacy;
        GRANT DELETE, SELECT ON vault.staging TO relais_privacy;
    END IF;
END $$;
