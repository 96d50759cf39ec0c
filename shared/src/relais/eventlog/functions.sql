-- The functions of the log @log@. They keep nothing: this file is run again whenever it changed.

-- Appends one batch in one call, so that no client ever holds the lock: called outside a transaction block, it commits or fails as a whole.
--
-- Events are arrays with one element per event. `appends` numbers the appends from 1, with gaps where one has no events; the events of
-- one append are neighbours, of one stream, and stored together or not at all. An append's first event bears its `expected_versions` (or
-- null), its last `closes`. `work_appends` says for each work row whose it is, 0 where it belongs to no events. Returns one row per append
-- with events, in no order: outcome 0 stored, 1 duplicate, 2 conflict; see `Appended` in record.py.
--
-- SQLSTATE RL001: fenced. RL002: an all-or-nothing batch met conflicts, the detail names their appends. RL003: wrong isolation level.
CREATE OR REPLACE FUNCTION @log@.append(
    appends integer[], closes boolean[], tenants text[], streams text[], expected_versions bigint[], event_ids uuid[], tags text[],
    partitions smallint[], actors text[], traceparents text[], payloads bytea[],
    chunk_appends integer[], chunk_blobs uuid[], chunk_numbers integer[], chunk_lasts boolean[], chunk_ciphertexts bytea[],
    work_appends integer[], work jsonb,
    checkpoint_consumers text[], checkpoint_logs text[], checkpoint_partitions smallint[], checkpoint_positions bigint[],
    checkpoint_event_ids uuid[], checkpoint_epochs bigint[],
    all_or_nothing boolean
) RETURNS TABLE (append integer, outcome smallint, last_position bigint, last_tenant_sequence bigint, last_version bigint, stored_at timestamptz)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- Plans are kept for the session and may be made while the log is still empty: they must not scan a table that is going to grow.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
-- A whole batch of bodies is sorted and passed on in memory, never in temporary files.
SET work_mem = '32MB'
AS $$
#variable_conflict use_column
DECLARE
    fresh_blobs       uuid[];
    head              bigint;
    head_at           timestamptz;
    accepted          integer[]; -- null: all of them
    duplicates        integer[] := '{}';
    duplicate_ids     uuid[]    := '{}';
    conflicts         integer[] := '{}';
    conflict_versions bigint[]  := '{}';
    accepted_ids      uuid[]    := '{}';
    growth            jsonb     := '{}';
    stream_key        text;
    stream_version    bigint;
    known_id          uuid;
    one               record;
    moved             bigint;
    made              bigint;
BEGIN
    -- A stricter level keeps the snapshot taken before the lock was granted, and would number from a stale head.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'append needs read committed' USING ERRCODE = 'RL003';
    END IF;

    -- Bodies first: the bulk of the bytes is written before anybody waits for us.
    IF cardinality(chunk_appends) > 0 THEN
        WITH stored AS (
            INSERT INTO vault.chunk (blob, number, last, ciphertext)
            SELECT unnest(chunk_blobs), unnest(chunk_numbers), unnest(chunk_lasts), unnest(chunk_ciphertexts)
            ON CONFLICT DO NOTHING RETURNING chunk.blob
        )
        SELECT array_agg(s.blob) FROM stored s INTO fresh_blobs;
    END IF;

    IF cardinality(appends) > 0 THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('relais.eventlog.@log@', 0));

        -- Heads are read only from here on: each statement below takes its snapshot after the lock was granted, and sees all that earlier
        -- holders committed. A statement that had itself waited for the lock would still see the log as it was before.
        SELECT e.position, e.recorded_at FROM @log@.event e ORDER BY e.position DESC LIMIT 1 INTO head, head_at;
        head := coalesce(head, 0);
        head_at := greatest(clock_timestamp(), head_at);

        -- First round: store the batch whole, unless anything stands against any of it. That is nearly always the last round.
        -- Second round: store what was accepted when each append was judged by itself.
        LOOP
            RETURN QUERY
            WITH given AS MATERIALIZED (
                SELECT g.n::integer, g.tenant, g.stream, g.expected_version
                FROM unnest(appends, tenants, streams, expected_versions) WITH ORDINALITY AS g (append, tenant, stream, expected_version, n)
                WHERE accepted IS NULL OR g.append = ANY (accepted)
            ), tenant_head AS MATERIALIZED (
                SELECT t.tenant, row_number() OVER () AS number, coalesce((
                    SELECT e.tenant_sequence FROM @log@.event e WHERE e.tenant = t.tenant ORDER BY e.tenant_sequence DESC LIMIT 1
                ), 0) AS tenant_sequence
                FROM (SELECT DISTINCT g.tenant FROM given g) AS t
            ), placed AS MATERIALIZED (
                -- Rows are kept narrow while they are sorted; sorting by a hash first spares most comparisons of texts.
                SELECT g.n, g.expected_version,
                    head + row_number() OVER (ORDER BY g.n) AS position,
                    h.tenant_sequence + row_number() OVER (PARTITION BY h.number ORDER BY g.n) AS tenant_sequence,
                    coalesce((
                        SELECT e.version FROM @log@.event e WHERE e.tenant = g.tenant AND e.stream = g.stream ORDER BY e.version DESC LIMIT 1
                    ), 0) + row_number() OVER (PARTITION BY hashtext(g.stream), g.stream, h.number ORDER BY g.n) AS version
                FROM given g JOIN tenant_head h ON h.tenant = g.tenant
            ), clean AS MATERIALIZED (
                SELECT accepted IS NOT NULL OR (
                    (SELECT count(DISTINCT i) = count(*) FROM unnest(event_ids) AS i)
                    AND (SELECT bool_and(p.expected_version IS NULL OR p.expected_version = p.version - 1) FROM placed p)
                    AND NOT EXISTS (SELECT FROM @log@.event e WHERE e.event_id = ANY (event_ids))
                ) AS yes
            ), stored AS (
                INSERT INTO @log@.event (
                    position, tenant_sequence, version, recorded_at, event_id, partition, tenant, stream, tag, actor, traceparent, payload
                )
                SELECT p.position, p.tenant_sequence, p.version, head_at, event_ids[p.n], partitions[p.n], tenants[p.n], streams[p.n],
                    tags[p.n], actors[p.n], traceparents[p.n], payloads[p.n]
                FROM placed p, clean c WHERE c.yes
            )
            SELECT appends[p.n], 0::smallint, p.position, p.tenant_sequence, p.version, head_at
            FROM placed p, clean c WHERE c.yes AND closes[p.n];
            EXIT WHEN FOUND OR accepted IS NOT NULL;

            -- As if each append had come alone, in this order: what was accepted before counts, what was refused does not.
            accepted := '{}';
            FOR one IN
                SELECT a.*, coalesce((
                    SELECT e.version FROM @log@.event e WHERE e.tenant = a.tenant AND e.stream = a.stream ORDER BY e.version DESC LIMIT 1
                ), 0) AS stored_version
                FROM (
                    SELECT g.append, min(g.tenant) AS tenant, min(g.stream) AS stream, min(g.expected_version) AS expected_version,
                        array_agg(g.event_id ORDER BY g.n) AS ids
                    FROM unnest(appends, tenants, streams, expected_versions, event_ids) WITH ORDINALITY
                        AS g (append, tenant, stream, expected_version, event_id, n)
                    GROUP BY g.append
                ) AS a ORDER BY a.append
            LOOP
                stream_key := jsonb_build_array(one.tenant, one.stream)::text;
                stream_version := one.stored_version + coalesce((growth ->> stream_key)::bigint, 0);
                SELECT i.id FROM unnest(one.ids) WITH ORDINALITY AS i (id, n)
                WHERE i.id = ANY (accepted_ids) OR EXISTS (SELECT FROM @log@.event e WHERE e.event_id = i.id)
                ORDER BY i.n DESC LIMIT 1 INTO known_id;
                IF known_id IS NOT NULL THEN
                    duplicates := duplicates || one.append;
                    duplicate_ids := duplicate_ids || known_id;
                ELSIF one.expected_version <> stream_version THEN
                    conflicts := conflicts || one.append;
                    conflict_versions := conflict_versions || stream_version;
                ELSE
                    accepted := accepted || one.append;
                    accepted_ids := accepted_ids || one.ids;
                    growth := growth || jsonb_build_object(stream_key, stream_version - one.stored_version + cardinality(one.ids));
                END IF;
            END LOOP;
            IF all_or_nothing AND cardinality(conflicts) > 0 THEN
                RAISE EXCEPTION 'the batch conflicts' USING ERRCODE = 'RL002', DETAIL = array_to_string(conflicts, ',');
            END IF;
        END LOOP;

        IF accepted IS NOT NULL THEN
            RETURN QUERY
            SELECT c.append, 2::smallint, 0::bigint, 0::bigint, c.version, NULL::timestamptz
            FROM unnest(conflicts, conflict_versions) AS c (append, version);
            -- Looked up only now, so that a repeat of an append in this very batch has its place too.
            RETURN QUERY
            SELECT d.append, 1::smallint, e.position, e.tenant_sequence, e.version, e.recorded_at
            FROM unnest(duplicates, duplicate_ids) AS d (append, event_id)
            CROSS JOIN LATERAL (SELECT * FROM @log@.event o WHERE o.event_id = d.event_id LIMIT 1) AS e;
            -- A refused append leaves no body behind.
            IF fresh_blobs IS NOT NULL THEN
                PERFORM @log@.withdraw_bodies(ARRAY(
                    SELECT b.blob FROM unnest(chunk_appends, chunk_blobs) AS b (append, blob) WHERE b.blob = ANY (fresh_blobs)
                    GROUP BY b.blob HAVING bool_and(b.append <> ALL (accepted))
                ));
            END IF;
        END IF;
    END IF;

    IF cardinality(checkpoint_consumers) > 0 THEN
        UPDATE @log@.checkpoint c SET position = m.position, event_id = m.event_id
        FROM unnest(
            checkpoint_consumers, checkpoint_logs, checkpoint_partitions, checkpoint_positions, checkpoint_event_ids, checkpoint_epochs
        ) AS m (consumer, log, partition, position, event_id, epoch)
        WHERE c.consumer = m.consumer AND c.log = m.log AND c.partition = m.partition AND c.epoch = m.epoch;
        GET DIAGNOSTICS moved = ROW_COUNT;
        IF moved < cardinality(checkpoint_consumers) THEN
            -- A row that is not there fences nobody: this is the consumer's first checkpoint in that partition.
            INSERT INTO @log@.checkpoint AS c (consumer, log, partition, position, event_id, epoch)
            SELECT * FROM unnest(
                checkpoint_consumers, checkpoint_logs, checkpoint_partitions, checkpoint_positions, checkpoint_event_ids, checkpoint_epochs
            ) ON CONFLICT DO NOTHING;
            GET DIAGNOSTICS made = ROW_COUNT;
            IF moved + made < cardinality(checkpoint_consumers) THEN
                RAISE EXCEPTION 'a checkpoint has another epoch' USING ERRCODE = 'RL001';
            END IF;
        END IF;
    END IF;

    -- The service's own rows, of stored appends and of appends that are nothing but rows (numbered 0); the function is the service's.
    IF cardinality(work_appends) > 0 THEN
        IF accepted IS NOT NULL THEN
            SELECT jsonb_agg(w.row ORDER BY w.n) FROM jsonb_array_elements(work) WITH ORDINALITY AS w (row, n)
            WHERE work_appends[w.n] = ANY (accepted) OR work_appends[w.n] = 0 INTO work;
        END IF;
        IF work IS NOT NULL THEN
            PERFORM @log@.apply_work(work);
        END IF;
    END IF;
END $$;

-- Takes back bodies that this very transaction inserted. The service's role may not delete from the vault; through this function it can
-- delete only what nobody else has ever seen: the row must bear the transaction's own id and its own start time.
CREATE OR REPLACE FUNCTION @log@.withdraw_bodies(blobs uuid[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM vault.chunk c
    WHERE c.blob = ANY (blobs) AND c.xmin = pg_current_xact_id()::xid AND c.stored_at = transaction_timestamp();
END $$;

-- The highest tenant sequence at or below a position, found by halving: a tenant's events lie in the same order in both numbers.
CREATE OR REPLACE FUNCTION @log@.tenant_sequence_at(of_tenant text, at_position bigint) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    low    bigint := 0;
    high   bigint;
    middle bigint;
BEGIN
    SELECT e.tenant_sequence FROM @log@.event e WHERE e.tenant = of_tenant ORDER BY e.tenant_sequence DESC LIMIT 1 INTO high;
    high := least(coalesce(high, 0), at_position);
    WHILE low < high LOOP
        middle := (low + high + 1) / 2;
        IF (SELECT e.position FROM @log@.event e WHERE e.tenant = of_tenant AND e.tenant_sequence = middle) <= at_position THEN
            low := middle;
        ELSE
            high := middle - 1;
        END IF;
    END LOOP;
    RETURN low;
END $$;

-- Takes partitions over under the epochs of leases just won, and says where to go on from. The rows stay locked until this commits, so an
-- append under an older epoch is either seen here or fenced there. SQLSTATE RL001: one of them was claimed under a higher epoch.
CREATE OR REPLACE FUNCTION @log@.claim_checkpoints(of_consumer text, of_log text, of_partitions smallint[], of_epochs bigint[])
RETURNS TABLE ("partition" smallint, "position" bigint, event_id uuid, epoch bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO @log@.checkpoint AS c (consumer, log, partition, position, event_id, epoch)
    SELECT of_consumer, of_log, m.partition, 0, '00000000-0000-0000-0000-000000000000', m.epoch
    FROM unnest(of_partitions, of_epochs) AS m (partition, epoch) ORDER BY m.partition
    ON CONFLICT (consumer, log, partition) DO UPDATE SET epoch = excluded.epoch WHERE c.epoch <= excluded.epoch;
    RETURN QUERY
    SELECT c.partition, c.position, c.event_id, c.epoch
    FROM unnest(of_partitions, of_epochs) AS m (partition, epoch)
    JOIN @log@.checkpoint c ON c.consumer = of_consumer AND c.log = of_log AND c.partition = m.partition AND c.epoch = m.epoch;
    IF (SELECT count(*) FROM unnest(of_partitions, of_epochs) AS m (partition, epoch)
        JOIN @log@.checkpoint c ON c.consumer = of_consumer AND c.log = of_log AND c.partition = m.partition AND c.epoch > m.epoch) > 0 THEN
        RAISE EXCEPTION 'a checkpoint has a higher epoch' USING ERRCODE = 'RL001';
    END IF;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA @log@ FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA @log@ TO @role@;
