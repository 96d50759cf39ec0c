-- The keys: schema `keys` of database `relais_keys`, whose backups are kept shorter than an erasure may take. Run by the owner's role,
-- as often as one likes.
--
-- Who may do what, and nothing else (tested): ingestion reads and makes keys; identity, routing and delivery read them; only privacy
-- takes a subject out of the index and destroys its key. Nobody changes a key.

CREATE SCHEMA IF NOT EXISTS keys;

CREATE TABLE IF NOT EXISTS keys.tenant_key (
    tenant     text        PRIMARY KEY,
    wrapped    bytea       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- `identity_index` is HMAC(tenant's index key, canonical identity). A retired subject has none: its key still opens what it sealed,
-- but nothing new is sealed under it.
CREATE TABLE IF NOT EXISTS keys.subject_key (
    tenant         text        NOT NULL REFERENCES keys.tenant_key,
    subject        uuid        NOT NULL,
    identity_index bytea       CHECK (octet_length(identity_index) = 32),
    wrapped        bytea       NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    retired_at     timestamptz CHECK ((retired_at IS NULL) = (identity_index IS NOT NULL)),
    PRIMARY KEY (tenant, subject),
    UNIQUE (tenant, identity_index)
);

-- How many times keys were retired or destroyed. Whoever holds a key in memory asks for this one number instead of for each key again. It
-- changes in the transaction that takes the keys away, so nobody can see the new number and still read an old key.
CREATE TABLE IF NOT EXISTS keys.removal (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    number bigint  NOT NULL
);
INSERT INTO keys.removal (number) VALUES (0) ON CONFLICT DO NOTHING;

CREATE OR REPLACE FUNCTION keys.count_removal() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE keys.removal SET number = number + 1;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER removals_are_counted AFTER UPDATE OR DELETE OR TRUNCATE ON keys.subject_key
    FOR EACH STATEMENT EXECUTE FUNCTION keys.count_removal();
ALTER TABLE keys.subject_key ENABLE ALWAYS TRIGGER removals_are_counted;

-- The tenant's key, which is the proposed one where there was none. Two replicas that propose at once are given the same one: the
-- second statement sees what the other committed while the first waited for it.
CREATE OR REPLACE FUNCTION keys.tenant_key_for(asked text, proposed bytea) RETURNS bytea
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO keys.tenant_key (tenant, wrapped) VALUES (asked, proposed) ON CONFLICT DO NOTHING;
    RETURN (SELECT k.wrapped FROM keys.tenant_key k WHERE k.tenant = asked);
END $$;

-- The subjects behind these identities, made from the proposals where they are new; one row per distinct identity, in any order.
-- Most identities are known, so rows are only tried where none is seen; and always in one order, so that two replicas that bring
-- the same new identities wait for one another instead of locking each other out.
CREATE OR REPLACE FUNCTION keys.subjects_for(tenants text[], identity_indexes bytea[], subjects uuid[], wrappeds bytea[])
RETURNS TABLE (tenant text, identity_index bytea, subject uuid, wrapped bytea)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO keys.subject_key (tenant, identity_index, subject, wrapped)
    SELECT a.tenant, a.identity_index, a.subject, a.wrapped
    FROM unnest(tenants, identity_indexes, subjects, wrappeds) AS a (tenant, identity_index, subject, wrapped)
    WHERE NOT EXISTS (SELECT FROM keys.subject_key k WHERE k.tenant = a.tenant AND k.identity_index = a.identity_index)
    ORDER BY a.tenant, a.identity_index
    ON CONFLICT DO NOTHING;
    RETURN QUERY
    SELECT k.tenant, k.identity_index, k.subject, k.wrapped
    FROM unnest(tenants, identity_indexes) AS a (tenant, identity_index)
    JOIN keys.subject_key k ON k.tenant = a.tenant AND k.identity_index = a.identity_index;
END $$;

REVOKE ALL ON SCHEMA keys FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA keys FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA keys FROM PUBLIC;

GRANT USAGE ON SCHEMA keys TO relais_ingestion, relais_identity, relais_routing, relais_delivery;
GRANT SELECT ON keys.tenant_key, keys.subject_key, keys.removal TO relais_ingestion, relais_identity, relais_routing, relais_delivery;
GRANT INSERT ON keys.tenant_key, keys.subject_key TO relais_ingestion;
GRANT EXECUTE ON FUNCTION keys.tenant_key_for(text, bytea), keys.subjects_for(text[], bytea[], uuid[], bytea[]) TO relais_ingestion;

-- Where nobody plays the privacy role yet, nobody may erase.
DO $$
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format(
        'GRANT CONNECT ON DATABASE %I TO relais_ingestion, relais_identity, relais_routing, relais_delivery', current_database()
    );
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'relais_privacy') THEN
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO relais_privacy', current_database());
        GRANT USAGE ON SCHEMA keys TO relais_privacy;
        GRANT SELECT, DELETE ON keys.subject_key TO relais_privacy;
        GRANT UPDATE (identity_index, retired_at) ON keys.subject_key TO relais_privacy;
    END IF;
END $$;
